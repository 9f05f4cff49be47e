"""`batchcolor report` of an output on remote storage, to which two machines wrote."""

import json


def test_shards_of_two_machines_are_added_up(bucket, command, flat, album, tmp_path):
    folder, out = album(12), "s3://album/out"
    for index, machine in ((2, "a"), (1, "b"), (1, "b"), (2, "a")):
        done = command(
            *("run", folder, "-m", flat, "-o", out, "--shard", f"{index}/2"),
            BATCHCOLOR_CACHE=str(tmp_path / machine),
        )
        assert done.returncode == 0, done.stderr
    done = command("report", out, "--json")
    found = json.loads(done.stdout)
    assert (done.returncode, found["output"]) == (0, out)
    assert [one["state"] for one in found["shards"]] == ["complete", "complete"]
    assert [one["runs"] for one in found["shards"]] == [2, 2]
    assert found["total"]["done"] == found["total"]["planned"] == 12


def test_a_report_counts_results_since_the_last_copy_of_the_journal(
    bucket, command, flat, album, tmp_path
):
    folder, out = album(4), "s3://album/out"
    assert command("run", folder, "-m", flat, "-o", out).returncode == 0
    other = {"BATCHCOLOR_CACHE": str(tmp_path / "another computer")}
    state = "album/out/.batchcolor/"
    lines = bucket.cat_file(f"{state}journal.jsonl").splitlines(keepends=True)
    bucket.pipe_file(f"{state}journal.jsonl", lines[0])
    record = json.loads(bucket.cat_file(f"{state}progress.json"))
    record |= {"state": "running", "colored": 1}
    bucket.pipe_file(f"{state}progress.json", json.dumps(record).encode())
    found = json.loads(command("report", out, "--json", **other).stdout)
    assert found["shards"][0]["state"] == "interrupted"
    assert (found["total"]["done"], found["total"]["planned"]) == (4, 4)
    lock = {"owner": "a", "place": "", "host": "other", "process": 1, "since": ""}
    bucket.pipe_file(f"{state}lock.json", json.dumps(lock).encode())
    found = json.loads(command("report", out, "--json", **other).stdout)
    assert found["shards"][0]["state"] == "running"


def test_a_url_without_results_is_refused(bucket, command):
    done = command("report", "s3://album/nothing")
    assert done.returncode == 2
    assert "s3://album/nothing: cannot be read: it does not exist" in done.stderr
    assert command("report", "").returncode == 2
