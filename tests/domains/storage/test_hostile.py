"""Hostile input, over HTTP: each thing is refused cleanly, or becomes a file that harms nobody.

Pictures that are bombs stand in test_imaging.py, offsets and versions of tus in test_tus.py, what is cut off or lies
about its length in test_uploads.py.
"""

import io
import zipfile
from typing import Any

import httpx
import pytest

from tests.conftest import Person
from tests.domains.storage.boxes import FORM_TYPE, UPLOADS, form, upload, uploaded
from tests.domains.tasks.sites import refusal

Json = dict[str, Any]
INLINE = {"disposition": "inline"}
SCRIPT = b"<script>alert(document.domain)</script>"


async def shown(person: Person, file: Json) -> httpx.Response:
    """As a page would try to show it in place."""
    answer = await person.client.get(file["contentUrl"], params=INLINE)
    assert answer.status_code == 200, answer.text
    return answer


def is_harmless(answer: httpx.Response) -> None:
    """Saved and not shown, of no guessed type, and with nothing that could run if it were shown."""
    assert answer.headers["content-disposition"].startswith("attachment")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"].split("; ")
    assert "default-src 'none'" in answer.headers["content-security-policy"]


# --- content that is not what it says ------------------------------------------------------------------------------


async def test_html_named_png_and_declared_so(person: Person) -> None:
    file = await uploaded(person, b"<html>" + SCRIPT, "photo.png", media_type="image/png")
    assert (file["mimeType"], file["declaredMimeType"]) == ("text/html", "image/png")
    assert file["thumbnailUrl"] is None
    answer = await shown(person, file)
    assert answer.headers["content-type"].startswith("text/html")
    is_harmless(answer)


async def test_svg_with_a_script(person: Person) -> None:
    content = b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)">' + SCRIPT + b"</svg>"
    for name, declared in (("logo.svg", "image/svg+xml"), ("logo.png", "image/png"), ("logo.txt", "text/plain")):
        file = await uploaded(person, content, name, media_type=declared)
        assert file["mimeType"] == "image/svg+xml"
        is_harmless(await shown(person, file))


async def test_pdf_is_saved_and_never_shown(person: Person) -> None:
    file = await uploaded(person, b"%PDF-1.7\n1 0 obj <</JS (app.alert(1))>>", "a.pdf", media_type="application/pdf")
    is_harmless(await shown(person, file))


async def test_a_picture_that_is_a_page_too_is_served_as_the_picture(person: Person) -> None:
    """What runs in it would need a browser that guesses, or a page that may run scripts: it has neither."""
    file = await uploaded(person, b"GIF89a/*" + SCRIPT + b"*/=1;//", "both.html", media_type="text/html")
    answer = await shown(person, file)
    assert file["mimeType"] == "image/gif"
    assert answer.headers["content-type"] == "image/gif"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]


async def test_an_archive_behind_a_picture_is_the_picture(person: Person) -> None:
    inside = io.BytesIO()
    with zipfile.ZipFile(inside, "w") as opened:
        opened.writestr("index.html", SCRIPT)
    file = await uploaded(person, b"\x89PNG\r\n\x1a\n" + bytes(64) + inside.getvalue(), "x.jar")
    assert file["mimeType"] == "image/png"


async def test_plain_text_that_speaks_of_scripts_is_not_run(person: Person) -> None:
    file = await uploaded(person, b"# How to\n\nWrite `" + SCRIPT + b"`\n", "readme.md", media_type="text/markdown")
    is_harmless(await shown(person, file))
    text = await uploaded(person, b"nothing but words", "a.txt", media_type="text/html")
    answer = await shown(person, text)
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["content-disposition"].startswith("inline")


async def test_a_declared_type_reaches_no_header(person: Person) -> None:
    for declared in ("text/html\tX: y", "image/png; x=" + "y" * 900, "not a type", "text/html, image/png"):
        file = await uploaded(person, b"\x00\x01\x02", "a.bin", media_type=declared)
        answer = await shown(person, file)
        assert answer.headers["content-type"] == "application/octet-stream"


# --- names ---------------------------------------------------------------------------------------------------------


def named(name: bytes) -> bytes:
    """A form whose file is called so, as it stands on the wire."""
    return form(b"content").replace(b'filename="plan.txt"', b'filename="' + name + b'"')


async def sent(person: Person, name: bytes) -> httpx.Response:
    return await person.client.post(UPLOADS, content=named(name), headers=FORM_TYPE)


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        (b"../../etc/passwd", "passwd"),
        (b"..\\\\..\\\\boot.ini", "boot.ini"),
        (b"/etc/cron.d/job", "job"),
        (b"plan.txt\x00.exe", "plan.txt.exe"),
        ("photo\u202egnp.exe".encode(), "photognp.exe"),
        ("\u2067plan\u2069.txt".encode(), "plan.txt"),
        (b"CON.txt", "_CON.txt"),
        (b"..", "file"),
    ],
)
async def test_a_hostile_name_becomes_a_safe_one(person: Person, name: bytes, kept: str) -> None:
    answer = await sent(person, name)
    if answer.status_code == 400:  # not a form at all with such a name in it
        assert answer.json()["code"] == "malformed_multipart"
        assert b"\x00" in name
        return
    assert answer.status_code == 201, answer.text
    assert answer.json()["file"]["originalName"] == kept


@pytest.mark.parametrize("letter", ["é", "日", "👍🏽"])
async def test_a_name_of_300_bytes_keeps_its_extension(person: Person, letter: str) -> None:
    name = letter * (300 // len(letter.encode())) + ".pdf"
    file = await uploaded(person, b"content", name)
    assert len(file["originalName"].encode()) <= 255
    assert file["originalName"].endswith(".pdf")
    assert file["originalName"].startswith(letter)


@pytest.mark.parametrize(
    "name",
    ['a"; filename="evil.html', "a\r\nSet-Cookie: s=1\r\n\r\n<html>.txt", "a%0d%0aX: y.txt", "a;b=c.txt", "a\\b.txt"],
)
async def test_no_name_breaks_a_header(person: Person, name: str) -> None:
    file = await uploaded(person, b"content", "field.txt", fields={"name": name})
    answer = await person.client.get(file["contentUrl"])
    assert "set-cookie" not in answer.headers
    assert answer.content == b"content"
    said = answer.headers["content-disposition"]
    assert said.startswith('attachment; filename="')
    assert said.split("; filename*=")[0].count('"') == 2


@pytest.mark.parametrize(
    "name", ["../up.txt", "a/b.txt", "a\\b.txt", "\u202etxt.exe", "nul\x01.txt", "x" * 256, " ", "..", "CON", "a\nb"]
)
async def test_a_file_is_not_renamed_to_what_is_no_safe_name(person: Person, name: str) -> None:
    file = await uploaded(person, b"content")
    answer = await person.client.patch(f"/api/storage/files/{file['id']}", json={"originalName": name})
    assert answer.status_code == 422, answer.text
    assert answer.json()["code"] in ("invalid_file_name", "validation_failed")
    kept = (await person.client.get(f"/api/storage/files/{file['id']}")).json()["file"]
    assert kept["originalName"] == file["originalName"]


async def test_nul_and_lone_surrogates_are_refused_in_json(person: Person) -> None:
    file = await uploaded(person, b"content")
    for raw in (b'{"originalName": "a\\u0000b.txt"}', b'{"originalName": "a\\ud800b.txt"}'):
        answer = await person.client.patch(
            f"/api/storage/files/{file['id']}", content=raw, headers={"Content-Type": "application/json"}
        )
        assert answer.status_code == 422, answer.text


# --- questions -----------------------------------------------------------------------------------------------------


async def test_range_bombs_get_the_whole_file_once(person: Person) -> None:
    file = await uploaded(person, bytes(1000), "zeros.bin")
    for asked in (
        "bytes=" + ",".join(["0-"] * 1500),
        "bytes=" + ",".join(f"{one}-{one}" for one in range(1000)),
        "bytes=0-0," + "-1," * 500,
    ):
        answer = await person.client.get(file["contentUrl"], headers={"Range": asked})
        assert (answer.status_code, len(answer.content)) == (200, 1000)


async def test_wildcards_in_a_question_are_letters(person: Person) -> None:
    await uploaded(person, b"1", "100%.txt")
    await uploaded(person, b"2", "1000.txt")
    found = (await person.client.get("/api/storage/files", params={"q": "0%"})).json()["files"]
    assert [one["originalName"] for one in found] == ["100%.txt"]


async def test_ids_that_are_none_are_not_found_and_not_a_failure(person: Person) -> None:
    for path in ("/api/storage/files/..%2f..%2fetc", "/api/storage/files/%00", "/api/storage/files/x/content"):
        answer = await person.client.get(path)
        assert answer.status_code == 404, path
    for token in ("", "x", "%00", "a" * 200, "é", "Li4vLi4v"):
        assert (await person.client.get(f"/api/storage/links/{token}")).status_code in (404, 405), token
    assert (await person.client.get("/api/storage/links/" + "a" * 201)).status_code == 422


# --- archives ------------------------------------------------------------------------------------------------------


async def test_an_archive_of_names_that_collide_and_climb(person: Person) -> None:
    names = ["a.txt", "A.TXT", "a.txt", "../a.txt", "a (2).txt", "con.txt", "\u202ea.txt"] + ["same.bin"] * 20
    files = [await uploaded(person, f"{place}".encode(), name) for place, name in enumerate(names)]
    answer = await person.client.post("/api/storage/files:zip", json={"fileIds": [one["id"] for one in files]})
    assert answer.status_code == 200, answer.text
    with zipfile.ZipFile(io.BytesIO(answer.content)) as opened:
        assert opened.testzip() is None
        told = opened.namelist()
        assert len({one.casefold() for one in told}) == len(names)
        assert not any("/" in one or "\\" in one or one.startswith(".") for one in told)
        assert [opened.read(one) for one in told] == [f"{place}".encode() for place in range(len(names))]
        assert not any(one.external_attr >> 16 & 0o111 for one in opened.infolist()), "nothing in it runs"


async def test_the_name_of_an_archive_breaks_no_header(person: Person) -> None:
    file = await uploaded(person, b"content")
    body = {"fileIds": [file["id"]], "name": 'x"\r\nSet-Cookie: a=b'}
    answer = await person.client.post("/api/storage/files:zip", json=body)
    assert answer.status_code == 200
    assert "set-cookie" not in answer.headers
    assert answer.headers["content-disposition"].count('"') in (2, 4)


async def test_more_than_there_is_room_for_in_a_list_is_refused(person: Person) -> None:
    file = await uploaded(person, b"content")
    many = await person.client.post("/api/storage/files:zip", json={"fileIds": [file["id"]] * 1001})
    assert many.status_code == 422
    twice = await person.client.post("/api/storage/files:zip", json={"fileIds": [file["id"]] * 2})
    assert refusal(twice) == (422, "nothing_to_zip")


async def test_a_bomb_is_kept_and_never_opened(person: Person) -> None:
    """Archives are bytes to us: nothing unpacks them, so nothing grows."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("zeros", bytes(50 << 20))
    file = await uploaded(person, written.getvalue(), "bomb.zip", media_type="application/zip")
    assert (file["mimeType"], file["fileSize"]) == ("application/zip", len(written.getvalue()))
    assert file["thumbnailUrl"] is None


async def test_a_field_nobody_knows_and_a_second_file_are_refused(person: Person) -> None:
    answer = await upload(person, b"content", fields={"workspaceid": "x"})
    assert answer.status_code == 422
    assert (await person.client.post("/api/storage/files:zip", json={"fileIds": [], "x": 1})).status_code == 422
