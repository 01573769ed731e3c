"""What the site has beside docs/: notebooks as pages, and the pages of the repository's root. A hook of mkdocs.yml.

On GitHub a page links to `../CONTRIBUTING.md` and to `01_load.ipynb`; on the site both are pages beside it.
"""

import base64
import json
import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # mkdocs loads this file by its path
from scripts.pages.blocks import anchor

ROOT = Path(__file__).resolve().parents[2]
OF_THE_ROOT = ("CHANGELOG.md", "CODE_OF_CONDUCT.md", "CONTRIBUTING.md", "SECURITY.md", "SKILL.md")
_LONGEST = 4000  # characters of one text output; a page is to be read


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Headings get the anchors that GitHub gives them, so that one link serves both."""
    config.mdx_configs["toc"]["slugify"] = lambda heading, separator: anchor(heading)
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made: one per notebook, and those of the root."""
    for name in OF_THE_ROOT:
        files.append(File.generated(config, name, content=_from_root((ROOT / name).read_text(encoding="utf-8"))))
    for file in [file for file in files if file.src_uri.endswith(".ipynb")]:
        name = file.src_uri.removesuffix(".ipynb")
        text, pictures = notebook_page(json.loads(Path(file.abs_src_path or "").read_text(encoding="utf-8")), name)
        files.append(File.generated(config, f"{name}.md", content=text))
        for place, content in pictures.items():
            files.append(File.generated(config, place, content=content))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Links of the repository to links of the site."""
    return site_links(markdown)


def site_links(markdown: str) -> str:
    """Links to notebooks and to the repository's root as they are on the site; files that are no page by their name.

    Example:
        >>> site_links("[a](../01_load.ipynb), [b](../../CONTRIBUTING.md#style), [c](../CITATION.cff)")
        '[a](../01_load.md), [b](../CONTRIBUTING.md#style), `CITATION.cff`'
    """
    markdown = re.sub(r"(\]\([^)\s]*)\.ipynb\)", r"\1.md)", markdown)
    pages = "|".join(re.escape(name) for name in OF_THE_ROOT)
    markdown = re.sub(rf"\]\(((?:\.\./)*)\.\./({pages})(#[^)]*)?\)", r"](\1\2\3)", markdown)
    no_page = r"[\w./-]*?[^/)]+\.(?:cff|py|toml|yml|yaml|sh|nf)|[\w./-]*?Snakefile"
    return re.sub(rf"\[[^\]]*\]\((?:\.\./)+({no_page})\)", r"`\1`", markdown)


def _from_root(markdown: str) -> str:
    """A page of the root: its links to docs/ lose that folder."""
    return re.sub(r"\]\(docs/", "](", markdown)


def notebook_page(notebook: dict[str, Any], name: str) -> tuple[str, dict[str, bytes]]:
    """A notebook as Markdown, and its pictures by place, which are called after `name`.

    Example:
        >>> cell = {"cell_type": "code", "source": ["1 + 1"], "outputs": [{"data": {"text/plain": ["2"]}}]}
        >>> notebook_page({"cells": [cell]}, "sum")
        ('```python\\n1 + 1\\n```\\n\\n```text\\n2\\n```\\n', {})
    """
    parts, pictures = [], {}
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
            continue
        parts.append(f"```python\n{source}\n```")
        for output in cell.get("outputs", []):
            data = {kind: "".join(content) for kind, content in output.get("data", {}).items()}
            if picture := _picture(data):
                ending, content = picture
                place = f"{name}_{len(pictures)}.{ending}"
                pictures[place] = content
                parts.append(f"![output]({place.rsplit('/', 1)[-1]})")
            elif "<table" in data.get("text/html", ""):
                parts.append(_bare_table(data["text/html"]))
            elif text := ("".join(output.get("text", "")) or data.get("text/plain", "")).rstrip():
                parts.append(f"```text\n{text[:_LONGEST]}\n```")
    return "\n\n".join(parts) + "\n", pictures


def _picture(data: dict[str, str]) -> tuple[str, bytes] | None:
    """Ending and content of an output's picture."""
    if "image/png" in data:
        return "png", base64.b64decode(data["image/png"])
    if "image/svg+xml" in data:
        return "svg", data["image/svg+xml"].encode()
    return None


def _bare_table(html: str) -> str:
    """The table alone, without pandas' styles; blank lines would end the HTML in Markdown.

    Example:
        >>> _bare_table("<div><style>td { }</style>\\n\\n<table border='1'><tr><td>1</td></tr></table></div>")
        '<table><tr><td>1</td></tr></table>'
    """
    table = re.sub(r".*?<table[^>]*>(.*</table>).*", r"<table>\1", html, flags=re.DOTALL)
    return re.sub(r"\n\s*", "", table)
