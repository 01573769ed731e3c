const svgOf = () => element.querySelector('.frame svg');
let known = null, zoom = 1, corner = [0, 0];
const points = svg => {
  if (known?.svg !== svg) {
    const all = [...svg.querySelectorAll('circle')];
    known = {svg, all: all.map(one => [one, parseFloat(one.getAttribute('cx')), parseFloat(one.getAttribute('cy'))])};
  }
  return known.all;
};
// A point is small and a finger is not: the nearest within 24 pixels is meant.
const pointAt = event => {
  const svg = svgOf();
  if (!svg || !svg.contains(event.target)) return null;
  const box = svg.getBoundingClientRect();
  let found = null, least = 24 * 24;
  for (const [one, x, y] of points(svg)) {
    const across = box.left + x * box.width / 100 - event.clientX, down = box.top + y * box.height / 100 - event.clientY;
    if (across * across + down * down < least) { least = across * across + down * down; found = one; }
  }
  return found;
};
const pick = place => {
  element.querySelectorAll('.picked').forEach(one => one.classList.remove('picked'));
  place.classList.add('picked');
  trigger('select', {row: Number(place.dataset.row)});
};
const enlarge = factor => {
  const frame = element.querySelector('.frame'), old = zoom;
  zoom = Math.min(16, Math.max(1, zoom * factor));
  const [x, y] = [frame.scrollLeft + frame.clientWidth / 2, frame.scrollTop + frame.clientHeight / 2];
  element.style.setProperty('--zoom', zoom);
  frame.scrollTo(x * zoom / old - frame.clientWidth / 2, y * zoom / old - frame.clientHeight / 2);
};
element.addEventListener('click', event => {
  const button = event.target.closest('[data-zoom]');
  if (button) return enlarge(Number(button.dataset.zoom));
  const place = event.target.closest('figure[data-row]') || pointAt(event);
  if (place) pick(place);
});
// On the map arrow keys go to the nearest point in their direction: far to the side counts twice.
const steps = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]};
let at = null;
const centre = one => { const box = one.getBoundingClientRect(); return [box.left + box.width / 2, box.top + box.height / 2]; };
const walk = ([right, below]) => {
  const all = points(svgOf());
  if (!all.some(([one]) => one === at)) return all.length ? all[all.length >> 1][0] : null;
  const [x, y] = centre(at);
  let found = null, least = Infinity;
  for (const [one] of all) {
    const [a, b] = centre(one), ahead = (a - x) * right + (b - y) * below;
    const aside = Math.abs((a - x) * below) + Math.abs((b - y) * right), far = ahead + 2 * aside;
    if (ahead > 0.5 && far < least) { least = far; found = one; }
  }
  return found;
};
element.addEventListener('keydown', event => {
  const place = event.target.closest('figure[data-row]');
  if (place && event.key === 'Enter') return pick(place);
  const frame = event.target.closest('.frame');
  if (!frame) return;
  if (event.key === '+' || event.key === '-') { enlarge(event.key === '+' ? 1.6 : 0.625); return event.preventDefault(); }
  if (event.key === 'Enter' && at) return pick(at);
  const step = steps[event.key];
  if (!step) return;
  event.preventDefault();
  const next = walk(step);
  if (!next) return;
  at?.classList.remove('at');
  at = next; at.classList.add('at');
  const box = frame.getBoundingClientRect(), [x, y] = centre(at);
  frame.scrollBy(Math.max(0, x - box.right + 40) + Math.min(0, x - box.left - 40),
    Math.max(0, y - box.bottom + 40) + Math.min(0, y - box.top - 40));
  hint(at, ...centre(at));
});
element.addEventListener('scroll', event => { corner = [event.target.scrollLeft, event.target.scrollTop]; }, true);
new MutationObserver(() => {  // other colours keep the part of the map that is looked at
  const frame = element.querySelector('.frame');
  if (frame && frame.dataset.seen !== 'yes') { frame.dataset.seen = 'yes'; frame.scrollTo(...corner); }
}).observe(element, {childList: true, subtree: true});
element.addEventListener('mouseleave', () => {
  const tip = element.querySelector('.tip');
  if (tip) tip.style.display = 'none';
});
const hint = (point, clientX, clientY) => {
  const tip = element.querySelector('.tip'), sheet = document.querySelector('.sheet');
  if (!tip || !sheet) return;
  tip.style.display = point ? 'block' : 'none';
  if (!point) return;
  const box = element.querySelector('.map').getBoundingClientRect();
  const across = Number(sheet.dataset.across), side = 112;
  const n = Number(point.dataset.place), thumbnail = tip.querySelector('i');
  thumbnail.style.backgroundImage = `url(${sheet.src})`;
  thumbnail.style.backgroundSize = `${across * side}px auto`;
  thumbnail.style.backgroundPosition = `-${n % across * side}px -${Math.floor(n / across) * side}px`;
  tip.querySelector('span').textContent = point.dataset.says;
  const x = clientX - box.left, y = clientY - box.top;
  tip.style.left = (x > box.width - 140 ? x - 135 : x + 14) + 'px';
  tip.style.top = (y > box.height - 160 ? y - 160 : y + 14) + 'px';
};
element.addEventListener('mousemove', event => hint(pointAt(event), event.clientX, event.clientY));
