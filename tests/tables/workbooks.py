"""The smallest .xlsx files: sheets of texts and numbers."""

import io
import zipfile
from collections.abc import Mapping, Sequence

_KINDS = "http://schemas.openxmlformats.org"
_SHEET = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_DOCUMENT = f"{_KINDS}/officeDocument/2006/relationships"


def workbook(sheets: Mapping[str, Sequence[Sequence[str | float]]]) -> bytes:
    """A workbook with these sheets; texts are texts, numbers are numbers."""
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{_KINDS}/package/2006/content-types"><Override PartName='
        f'"/xl/workbook.xml" ContentType="{_SHEET}.sheet.main+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{_KINDS}/package/2006/relationships"><Relationship Id="r1" '
        f'Type="{_DOCUMENT}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{_KINDS}/spreadsheetml/2006/main" xmlns:r="{_DOCUMENT}"><sheets>'
        + "".join(f'<sheet name="{name}" sheetId="{n}" r:id="r{n}"/>' for n, name in enumerate(sheets, 1))
        + "</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{_KINDS}/package/2006/relationships">'
        + "".join(
            f'<Relationship Id="r{n}" Type="{_DOCUMENT}/worksheet" Target="worksheets/sheet{n}.xml"/>'
            for n in range(1, len(sheets) + 1)
        )
        + "</Relationships>",
    }
    for number, rows in enumerate(sheets.values(), 1):
        cells = "".join("<row>" + "".join(map(_cell, row)) + "</row>" for row in rows)
        parts[f"xl/worksheets/sheet{number}.xml"] = (
            f'<worksheet xmlns="{_KINDS}/spreadsheetml/2006/main"><sheetData>{cells}</sheetData></worksheet>'
        )
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def _cell(value: str | float) -> str:
    return f'<c t="inlineStr"><is><t>{value}</t></is></c>' if isinstance(value, str) else f"<c><v>{value}</v></c>"
