"""`batchcolor verify OUT`: compares the results in a folder with the checksums in its journal."""

from __future__ import annotations

import os
from collections import Counter

from batchcolor.cli import common_options as options
from batchcolor.cli.console import make_console, only_json, print_json, print_line
from batchcolor.errors import ExitCode, make_printable
from batchcolor.storage.locations import Url, describe_url, is_url

NEXT = "Next: delete the changed results, and run the command that made them again"
"""What to do about changed and missing results."""


def verify(
    output: options.OutputLocation,
    as_json: options.AsJson = False,
    verbose: options.Verbose = 0,
    quiet: options.Quiet = False,
) -> int:
    """Compare the results in a folder with the checksums in its journal."""
    from batchcolor.pipeline.records.sidecars import JSON_SUFFIX, PREMIS_SUFFIX
    from batchcolor.storage.fixity import STATES, check_results, find_other_files

    with only_json(as_json) as stdout:
        sidecars = (JSON_SUFFIX, PREMIS_SUFFIX)
        if is_url(output):
            from batchcolor.storage.remote.remote_fixity import check_objects

            results, others = check_objects(Url(output))
            others = [path for path in others if not path.name.endswith(sidecars)]
        else:
            results = list(check_results(output, os.cpu_count() or 1))
            others = find_other_files(output, [result.path for result in results], sidecars)
        counts = Counter(result.state for result in results)
        code = ExitCode.SOME_FAILED if any(r.is_fault for r in results) else ExitCode.DONE
        console = make_console(stderr=False)
        for result in results:
            if result.is_fault or (verbose and not quiet):
                reason = f" ({result.reason})" if result.reason else ""
                print_line(console, f"{result.state}: {make_printable(result.path)}{reason}")
        if verbose and not quiet:
            for path in others:
                print_line(console, f"not in the journal: {make_printable(path)}")
        if not quiet:
            parts = [f"{counts[state]} {state}" for state in STATES if counts[state]]
            print_line(console, ", ".join(parts) or "no results")
            if others:
                files = "1 other file is" if len(others) == 1 else f"{len(others)} other files are"
                listed = "" if verbose else " (-v lists them)"
                print_line(console, f"{files} not in the journal and not checked{listed}")
            if code:
                print_line(console, NEXT)
        if as_json:
            document = {
                "output": describe_url(str(output)),
                **{state.replace(" ", "_"): counts[state] for state in STATES},
                "other_files": len(others),
                "exit_code": int(code),
                "results": [
                    {"target": str(r.path), "state": r.state, "reason": r.reason}
                    for r in results
                    if r.state != "intact"
                ],
            }
            print_json(document, stdout)
    return code
