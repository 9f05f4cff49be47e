"""What lies on the disk of films that are under way."""

import threading

from batchcolor.films.codecs import FilmSettings
from batchcolor.films.coded import CodedSegments
from batchcolor.films.inspection import inspect
from batchcolor.films.timing import Timeline


def test_films_that_end_take_nothing_from_films_that_begin(make_clip, tmp_path):
    film = inspect(make_clip(tmp_path / "film.mp4", frames=2), 10**6)
    lost = []

    def work(number):
        segments = CodedSegments(
            *(tmp_path / "films" / str(number), film, FilmSettings(), Timeline(film))
        )
        try:
            for _ in range(300):
                segments.resume("some film")
                (segments.folder / "proof").write_bytes(b"")
                segments.remove()
        except OSError as error:
            lost.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not lost
    assert not (tmp_path / "films").exists()
