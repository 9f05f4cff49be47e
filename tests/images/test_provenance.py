"""Results state in their metadata that their colours are computed; nothing else is lost."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from batchcolor.hooks.types import COMPOSITE_WITH_AI
from batchcolor.images.formats import BMP, PNG
from batchcolor.images.metadata.model import Metadata
from batchcolor.images.provenance_marks.exif_software import read_software, write_software
from batchcolor.images.provenance_marks.provenance import (
    Provenance,
    mark_metadata,
    read_marks,
    read_provenance,
)
from batchcolor.images.provenance_marks.xmp_history import read_history

MARK = Provenance(COMPOSITE_WITH_AI, "delta", "ab" * 32, "père.tif", "cd" * 32, {"strength": 0.8})

TONER = """
    import batchcolor

    @batchcolor.hookimpl
    def batchcolor_colorizers():
        return [
            batchcolor.ColorizerSpec(
                "toner",
                "one tone",
                16,
                lambda options: lambda luma: luma[:, :, ::4, ::4].mul(0.1).expand(-1, 2, 4, 4),
                digital_source_type=batchcolor.ALGORITHMICALLY_ENHANCED,
            )
        ]
"""

PACKET = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="Adobe XMP Core 5.6">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about="uuid:1" xmlns:xmp="http://ns.adobe.com/xap/1.0/"
    xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:own="http://example.org/own/"
    xmlns:xmpMM="http://ns.adobe.com/xap/1.0/mm/"
    xmlns:stEvt="http://ns.adobe.com/xap/1.0/sType/ResourceEvent#"
    xmp:CreatorTool="VueScan 9" own:box="Kiste 7 &amp; 8">
   <dc:title><rdf:Alt><rdf:li xml:lang="de">Großmutter</rdf:li></rdf:Alt></dc:title>
   <xmpMM:History><rdf:Seq>
    <rdf:li stEvt:action="created" stEvt:softwareAgent="VueScan 9"/>
   </rdf:Seq></xmpMM:History>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>""".encode()


def mark(metadata: Metadata = Metadata(), target=PNG) -> tuple[Metadata, list[str]]:  # noqa: B008
    notes: list[str] = []
    return mark_metadata(metadata, MARK, target, notes), notes


def test_an_empty_metadata_gets_every_mark():
    marked, notes = mark()

    assert read_provenance(marked.xmp) == MARK
    assert read_software(marked.exif) == MARK.software
    assert notes == []


def test_marks_are_the_same_every_time():
    assert mark(Metadata(xmp=PACKET)) == mark(Metadata(xmp=PACKET))


def test_an_existing_packet_keeps_its_content():
    xmp = mark(Metadata(xmp=PACKET))[0].xmp.decode()

    assert 'own:box="Kiste 7 &amp; 8"' in xmp
    assert '<rdf:li xml:lang="de">Großmutter</rdf:li>' in xmp
    assert 'rdf:about="uuid:1"' in xmp
    kind, entries = read_history(xmp.encode())
    assert kind == COMPOSITE_WITH_AI
    assert [agent for agent, _ in entries] == ["VueScan 9", MARK.software]


def test_the_previous_creator_tool_is_part_of_the_history():
    marked, _ = mark(Metadata(xmp=PACKET, exif=write_software(b"", "Epson Scan 3")))

    parameters = json.loads(read_history(marked.xmp)[1][-1][1])

    assert parameters["replaced"] == {"CreatorTool": "VueScan 9", "Software": "Epson Scan 3"}


@pytest.mark.parametrize("packet", [b"<x:xmpmeta", b"\xff\xfe garbage", b"<a/>"])
def test_a_damaged_packet_is_kept_as_it_is(packet):
    marked, notes = mark(Metadata(xmp=packet))

    assert marked.xmp == packet
    assert read_software(marked.exif) == MARK.software
    assert len(notes) == 1


def test_entities_of_a_packet_are_not_expanded(tmp_path: Path):
    secret = tmp_path / "secret"
    secret.write_text("top secret")
    packet = f'<!DOCTYPE a [<!ENTITY e SYSTEM "file://{secret}">]>'.encode() + re.sub(
        rb"<\?xpacket.*?\?>", b"", PACKET.replace(b"Kiste 7", b"Kiste")
    )

    marked, notes = mark(Metadata(xmp=packet))

    assert marked.xmp == packet
    assert "damaged" in notes[0]


def test_bmp_has_no_place_for_marks():
    assert mark(Metadata(), BMP) == (Metadata(), [])


@pytest.mark.parametrize("order", ["<", ">"])
def test_software_is_set_without_moving_the_rest_of_the_block(order):
    exif = Image.Exif()
    exif.endian = order
    exif[0x010F], exif[0x0110] = "Leitz", "Focomat"
    exif.get_ifd(0x8769)[0x927C] = b"maker note with offsets"
    block = exif.tobytes().removeprefix(b"Exif\0\0")

    marked = write_software(block, "batchcolor 1.2.3")

    again = Image.Exif()
    again.load(b"Exif\0\0" + marked)
    assert (again[0x010F], again[0x0110], again[0x0131]) == ("Leitz", "Focomat", "batchcolor 1.2.3")
    assert again.get_ifd(0x8769)[0x927C] == b"maker note with offsets"
    assert marked[8 : len(block)] == block[8:]
    assert write_software(marked, "batchcolor 1.2.3") != b""


@pytest.mark.parametrize("block", [b"garbage", b"II*\0\xff\xff\xff\xff", b"II*\0\x08\0\0\0\x40\0"])
def test_a_damaged_exif_block_is_kept_as_it_is(block):
    marked, notes = mark(Metadata(exif=block))

    assert marked.exif == block
    assert notes == ["not marked in EXIF: the block is damaged"]


def test_a_packet_that_fills_a_jpeg_segment_is_marked_and_kept(
    command, flat, grey_picture, tmp_path
):
    source = tmp_path / "scan.jpg"
    packet = PACKET.replace(b"Kiste", b"K" * 63900)
    grey_picture(40, 30).save(source, xmp=packet)

    command("run", source, "-o", tmp_path / "out", "-m", flat)

    result = tmp_path / "out" / "scan.jpg"
    assert b"K" * 63900 in result.read_bytes()
    document = json.loads(command("info", result, "--json").stdout)
    assert document["model"] == "flat"


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("depth", [8, 16])
def test_results_of_every_format_state_their_model(
    command, flat, grey_picture, tmp_path, suffix, depth
):
    source, out = tmp_path / "scan.png", tmp_path / "out"
    luma = np.asarray(grey_picture(40, 30))
    Image.fromarray(luma if depth == 8 else luma.astype(np.uint16) * 257).save(source)

    done = command("run", source, "-o", out, "-m", flat, "--format", suffix)

    assert done.returncode == 0, done.stderr
    found = read_marks(out / f"scan.{suffix}")
    assert found is not None
    assert (found.model, found.source) == ("flat", "scan.png")
    assert found.digital_source_type == COMPOSITE_WITH_AI
    with Image.open(out / f"scan.{suffix}") as image:
        assert image.getexif()[0x0131] == MARK.software


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
def test_marks_do_not_change_pixels(command, flat, grey_picture, tmp_path, suffix):
    source = tmp_path / f"scan.{suffix}"
    grey_picture(40, 30).save(source)

    command("run", source, "-o", tmp_path / "with", "-m", flat)
    command("run", source, "-o", tmp_path / "without", "-m", flat, "--no-mark")

    with_marks = Image.open(tmp_path / "with" / source.name)
    without = Image.open(tmp_path / "without" / source.name)
    assert with_marks.tobytes() == without.tobytes()
    assert b"batchcolor" not in (tmp_path / "without" / source.name).read_bytes()


def test_a_plugin_states_its_own_source_type(command, plugin, grey_picture, tmp_path):
    plugin("tonerpack", TONER)
    source = tmp_path / "scan.jpg"
    grey_picture(40, 30).save(source)

    command("run", source, "-o", tmp_path / "out", "-m", "toner")

    found = read_marks(tmp_path / "out" / "scan.jpg")
    assert found is not None
    assert found.digital_source_type.endswith("/algorithmicallyEnhanced")


def test_info_of_a_result_names_model_source_and_command(command, flat, grey_picture, tmp_path):
    source = tmp_path / "my scan.jpg"
    grey_picture(40, 30).save(source)
    command("run", source, "-o", tmp_path / "out", "-m", flat, "--strength", "0.5")

    done = command("info", tmp_path / "out" / "my scan.jpg", "--json")

    document = json.loads(done.stdout)
    assert document["command"] == "batchcolor run 'my scan.jpg' -m flat --strength 0.5"
    assert document["model"] == "flat"
    shown = command("info", tmp_path / "out" / "my scan.jpg").stdout
    assert "--strength 0.5" in shown


def test_info_of_another_file_says_that_it_has_no_marks(command, grey_picture, tmp_path):
    path, text = tmp_path / "plain.jpg", tmp_path / "notes.txt"
    grey_picture(40, 30).save(path)
    text.write_text("not a picture")

    assert "has no mark of batchcolor" in command("info", path).stderr
    assert command("info", text).returncode == 2
    assert command("info", tmp_path / "missing.jpg").returncode == 2


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mov"])
def test_a_film_states_its_model_in_its_tags(command, flat, make_clip, tmp_path, suffix):
    clip = make_clip(tmp_path / f"clip.{suffix}", prepare=_add_comment)

    done = command("run", clip, "-o", tmp_path / "out", "-m", flat)
    assert done.returncode == 0, done.stderr

    document = json.loads(command("info", tmp_path / "out" / clip.name, "--json").stdout)
    assert (document["model"], document["source"]) == ("flat", clip.name)
    assert b"Filmed by uncle Karl" in (tmp_path / "out" / clip.name).read_bytes()


@pytest.mark.parametrize("comment", [b"", "box 7, Köln".encode() * 40])
def test_a_gif_states_its_model_in_its_comment(command, flat, grey_picture, tmp_path, comment):
    path = tmp_path / "film.gif"
    frames = [grey_picture(40, 30, seed) for seed in range(3)]
    frames[0].save(path, save_all=True, append_images=frames[1:], comment=comment, loop=2)

    done = command("run", path, "-o", tmp_path / "out", "-m", flat)
    assert done.returncode == 0, done.stderr

    result = tmp_path / "out" / path.name
    document = json.loads(command("info", result, "--json").stdout)
    assert (document["model"], document["source"]) == ("flat", path.name)
    with Image.open(result) as image:
        assert image.info["comment"].startswith(comment)
        assert (image.n_frames, image.info["loop"]) == (3, 2)


def _add_comment(film) -> None:
    film.metadata["comment"] = "Filmed by uncle Karl"


def test_frames_of_a_film_are_marked(command, flat, make_clip, tmp_path):
    clip = make_clip(tmp_path / "clip.mp4", frames=3)

    command("run", clip, "-o", tmp_path / "out", "-m", flat, "--to-frames")

    frames = sorted((tmp_path / "out").glob("clip*/*.png"))
    found = [read_marks(frame) for frame in frames]
    assert len(found) == 3
    assert all(it is not None and it.source == "clip.mp4" for it in found)


def test_a_marked_block_is_read_by_pillow():
    data = io.BytesIO()
    Image.new("L", (4, 4)).save(data, "JPEG", exif=b"Exif\0\0" + mark()[0].exif)

    assert Image.open(data).getexif()[0x0131] == MARK.software


OTHER = b"""<x:xmpmeta xmlns:x="adobe:ns:meta/">
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" dc:format="image/tiff">
<!-- kept --><dc:subject>sea</dc:subject>
</rdf:Description></rdf:RDF></x:xmpmeta>"""


@pytest.mark.parametrize("packet", [b"", OTHER, PACKET])
def test_each_prefix_is_declared_once(packet):
    """ImageMagick 6 warns about a TIFF whose packet declares one again where it is used."""
    xmp = mark(mark(Metadata(xmp=packet))[0])[0].xmp

    for prefix in (b"stEvt", b"xmpMM", b"Iptc4xmpExt", b"xmp"):
        assert xmp.count(b"xmlns:" + prefix + b"=") == 1
    assert len(read_history(xmp)[1]) == (3 if packet == PACKET else 2)
    if packet == OTHER:
        assert b"<!-- kept --><dc:subject>sea</dc:subject>" in xmp
        assert b'dc:format="image/tiff"' in xmp
