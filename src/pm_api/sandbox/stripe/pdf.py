"""A one-page PDF of plain lines of text, written by hand: header, objects, cross-reference table, trailer."""

from collections.abc import Sequence

PAGE_WIDTH, PAGE_HEIGHT = 595, 842
MARGIN, TOP, LEADING = 56, 786, 18
LINES_LIMIT = 40


def text_pdf(title: str, lines: Sequence[str]) -> bytes:
    """An A4 page with a heading and up to forty lines. Characters outside Latin-1 become `?`."""
    shown = [*lines[:LINES_LIMIT]]
    if len(lines) > LINES_LIMIT:
        shown[-1] = f"and {len(lines) - LINES_LIMIT + 1} lines more"
    content = [b"BT", b"/F2 18 Tf", f"{MARGIN} {TOP} Td".encode(), _shown(title), b"/F1 10 Tf"]
    content.append(f"0 -{2 * LEADING} Td".encode())
    for line in shown:
        content += [_shown(line), f"0 -{LEADING} Td".encode()]
    content.append(b"ET")
    stream = b"\n".join(content)
    fonts = b"<< /F1 5 0 R /F2 6 0 R >>"
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 %d %d] /Contents 4 0 R /Resources << /Font %s >> >>"
        % (PAGE_WIDTH, PAGE_HEIGHT, fonts),
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica-Bold /Encoding /WinAnsiEncoding >>",
    ]
    return _document(objects)


def _shown(text: str) -> bytes:
    escaped = text.encode("cp1252", "replace").replace(b"\\", b"\\\\").replace(b"(", b"\\(").replace(b")", b"\\)")
    return b"(" + escaped + b") Tj"


def _document(objects: Sequence[bytes]) -> bytes:
    # The second line's high bytes tell transfer programs that the file is binary.
    document = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n"
    offsets = []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(document))
        document += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = len(document)
    document += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    document += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    document += b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, table)
    return document
