"""The command line: commands by name, one sentence and an exit code for whatever goes wrong.

Exit codes: 0 done, 2 settings, 3 a peer was lost or late, 4 a peer misbehaved, 70 a bug of ours, 130 Ctrl-C.
A command is a module of `parties.commands` and a line of `COMMANDS`.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence

from cyclopts import App, CycloptsError

from parties.commands.version import version_text
from parties.failure import EXIT_OUR_BUG, EXIT_SETTINGS, exit_code, first_cause, sentence
from parties.threads import ONE_THREAD
from pehealth.errors import ConfigError, UnsupportedLayer

COMMANDS = {
    "demo": ("parties.commands.demo:demo", "A private inference on real data, each party a process; the report."),
    "run": ("parties.commands.run:run", "Run a network on test samples, all parties on this machine, and report."),
    "bench": ("parties.commands.bench:bench", "Measure engines side by side: latency, throughput, bytes, memory."),
    "import": ("parties.commands.import_onnx:import_model", "Make a model file of an ONNX file, and check it."),
    "serve": ("parties.commands.serve:serve", "Be one party, E1, E2, HC or DEALER, for as long as the process lives."),
    "deploy": (
        "parties.commands.deploy:deploy",
        "Deploy a model: to running services, or for later runs with --state.",
    ),
    "retire": ("parties.commands.retire:retire", "Drain a model of the services, and delete it at every party."),
    "status": ("parties.commands.status:status", "What a running service has deployed, what is left, who is linked."),
    "deal": ("parties.commands.deal:deal", "Make one-time material ahead, into the servers' stores or into files."),
    "infer": ("parties.commands.infer:infer", "Have a running service answer readings from a file or a stream."),
    "check": ("parties.commands.check:check", "Check this party's settings, keys and links, together with the others."),
    "plan": ("parties.commands.plan:plan", "What a run will cost, without running it."),
    "replay": ("parties.commands.replay:replay", "What a traced run takes under another network, and why."),
    "report": ("parties.commands.report:report", "The paper's tables, figures and claims, re-measured: one HTML page."),
    "scale": ("parties.commands.scale:scale", "How costs grow, up to ResNet-18's shapes, by plan and replay."),
}
GROUPS = {
    "attack": (
        "What an insecure setting gives away.",
        {"toy32": ("parties.commands.attack:toy32", "Read key and weights from one server of engine paper on toy32.")},
    ),
    "audit": (
        "What a party's audit log says.",
        {"verify": ("parties.commands.audit:verify", "Check that an audit log is what was written, and sum it up.")},
    ),
    "data": (
        "The data sets and the networks trained on them.",
        {
            "list": ("parties.commands.data:show", "Networks and data sets, and which are here."),
            "fetch": ("parties.commands.data:fetch", "Get a data set and check it."),
            "check": ("parties.commands.data:check", "Check data sets byte by byte."),
            "export": ("parties.commands.data:export", "Write test samples as a CSV file, for pehealth infer."),
        },
    ),
    "keys": (
        "Certificates for the parties' links.",
        {
            "init": ("parties.commands.keys:init", "Make an authority."),
            "issue": ("parties.commands.keys:issue", "Issue a certificate for each party."),
            "request": (
                "parties.commands.keys:request",
                "Make a party's key on its own machine, for the authority to certify.",
            ),
            "revoke": ("parties.commands.keys:revoke", "Revoke certificates; no party needs a restart."),
            "list": ("parties.commands.keys:show", "List what was issued, until when, and what was revoked."),
        },
    ),
}
DEBUG = "--debug"
EPILOGUE = f"{DEBUG} with any command shows the traceback of an error. Exit codes and every flag: docs/cli.md"
REPORT_TO = "please report it to the project's issue tracker, with `pehealth --version` and this command's --debug"


def build() -> App:
    """Return the command line; a command's module is imported when it is called."""
    app = App(
        name="pehealth",
        help="CNN inference on patients' readings by two servers that learn neither readings, model nor result.",
        help_epilogue=EPILOGUE,
        version=version_text,
        version_format="plaintext",
        suppress_keyboard_interrupt=False,
    )
    _add(app, COMMANDS)
    for name, (text, commands) in GROUPS.items():
        group = App(name=name, help=text)
        _add(group, commands)
        app.command(group)
    return app


def _add(app: App, commands: dict[str, tuple[str, str]]) -> None:
    for name, (place, text) in commands.items():
        app.command(place, name=name, help=text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    for name, value in ONE_THREAD.items():  # numpy, imported later, reads them once
        os.environ.setdefault(name, value)
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = DEBUG in words
    words = [w for w in words if w != DEBUG]
    try:
        build()(words, exit_on_error=False, print_error=False, result_action="return_value")
        sys.stdout.flush()
    except CycloptsError as error:
        say(f"{error}\nTry `pehealth --help`.")
        return EXIT_SETTINGS
    except BrokenPipeError:  # the reader of our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (Exception, BaseExceptionGroup, KeyboardInterrupt) as error:  # noqa: BLE001 - the last place to say it
        if debug:
            traceback.print_exception(error)
        return complain(first_cause(error))
    return 0


def complain(error: BaseException) -> int:
    """Say in a sentence what went wrong and return the exit code."""
    code = exit_code(error)
    if isinstance(error, KeyboardInterrupt):
        say("stopped by Ctrl-C")
    elif isinstance(error, ConfigError) and len(error.problems) > 1:
        what = "this network cannot be run:" if isinstance(error, UnsupportedLayer) else "these settings cannot work:"
        say("\n  ".join((what, *error.problems)))
    elif code == EXIT_OUR_BUG:
        say(f"a bug of ours: {sentence(error)}\n{REPORT_TO}")
    else:
        say(sentence(error))
    return code


def say(text: str) -> None:
    """Print to standard error."""
    print(f"pehealth: {text}", file=sys.stderr)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
