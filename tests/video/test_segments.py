"""Segments on disk of unfinished films."""

import threading

from batchcolor.images.formats import MP4
from batchcolor.video.output.codecs import VideoSettings
from batchcolor.video.output.output_spec import resolve_output_spec
from batchcolor.video.output.packet_segments import PacketSegments
from batchcolor.video.output.timestamps import Timeline
from batchcolor.video.probe import probe


def test_films_that_end_do_not_remove_folders_of_films_that_start(make_clip, tmp_path):
    source = probe(make_clip(tmp_path / "film.mp4", frames=2), 10**6)
    output = resolve_output_spec(source, VideoSettings(), MP4)
    errors = []

    def work(number):
        segments = PacketSegments(tmp_path / "films" / str(number), output, Timeline(source))
        try:
            for _ in range(300):
                segments.resume("fingerprint")
                (segments.folder / "proof").write_bytes(b"")
                segments.remove()
        except OSError as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert not (tmp_path / "films").exists()
