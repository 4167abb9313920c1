"""``python3 -m toolchain``: the commands behind the Makefile.

Runs under the machine's own Python (3.11 or newer), before any package is installed.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from toolchain import debian, example, golang, paths, pulumi_home, python_env
from toolchain.errors import ToolchainError
from toolchain.process import run_logged
from toolchain.progress import format_seconds, note, step
from toolchain.stack import EMBEDDED, Preview, Stack, write_env_file
from toolchain.tasks import parallel

DEV: Final = EMBEDDED

ENGINE_BINARIES: Final = tuple(name for name in golang.BINARIES if name.startswith("pulumi"))
ON_REQUEST: Final = (
    "amtool",
    "filebeat",
    "helm-render",
    "kwok",
    "mustache",
)
"""Built by the tests and images that ask for them."""
CLUSTER_BINARIES: Final = tuple(
    name for name in golang.BINARIES if name not in ENGINE_BINARIES and name not in ON_REQUEST
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; errors that the user can act on are printed without a traceback."""
    arguments = _parser().parse_args(argv)
    try:
        python_env.require_python()
        arguments.command(arguments)
    except ToolchainError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; run the same command again to go on", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 -m toolchain", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(
        name: str, run: Callable[[argparse.Namespace], None], summary: str
    ) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=summary, description=summary)
        sub.set_defaults(command=run)
        return sub

    command("up", up, "install what is missing, start the embedded cluster, deploy stack dev").add_argument(
        "--kwok-node",
        action="append",
        default=[],
        metavar="SPEC",
        help="add a simulated node, such as '8xH100'",
    )
    command("down", down, "destroy stack dev and remove the embedded cluster from the host")
    planned = command("preview", preview, "plan a stack through the policy pack; needs no credentials")
    planned.add_argument("--stack", default=DEV)
    planned.add_argument(
        "--summary",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="write the summary there, too: as text (.txt), Markdown (.md) or JSON (.json)",
    )
    command("engine", lambda _: _engine(), "the Pulumi engine and its plugins")
    cluster = command("cluster", _cluster, "the embedded cluster alone")
    cluster.add_argument("action", choices=("up", "down", "status"))
    cluster.add_argument("--kwok-node", action="append", default=[], metavar="SPEC")
    command("images", lambda _: _images(), "build the local images")
    command("model", lambda _: print(_model()), "generate and publish the model of stack dev")
    command("env", lambda _: print(write_env_file()), "write .toolchain/env")
    command("venv", _venv, "the virtual environment alone").add_argument("--dev", action="store_true")
    command("go-check", _go_check, "gofmt and go vet over our own sources")
    command("lock", lambda _: print(debian.lock()), "resolve the Debian packages again")
    command("clean", clean, "`down`, then remove .toolchain")
    return parser


@contextmanager
def _exclusive(what: str) -> Iterator[None]:
    """Keep two commands from changing the cluster and the stack at once."""
    paths.LOCKS.mkdir(parents=True, exist_ok=True)
    with (paths.LOCKS / "command.lock").open("a+") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            handle.seek(0)
            raise ToolchainError(
                f"another command is at work here ({handle.read().strip()}); let it end first"
            ) from error
        handle.truncate(0)
        handle.write(f"{what}, process {os.getpid()}")
        handle.flush()
        yield


def up(arguments: argparse.Namespace) -> None:
    """From whatever is there to a served model."""
    started = time.monotonic()
    from toolchain import cluster, images, model

    cluster.preflight()
    with _exclusive("up"):
        # Builds share one queue: the cluster's come first, because its start and the import of the images can
        # then run while the engine is compiled.
        with parallel() as tasks:
            modules = tasks.add(golang.download_modules)
            tasks.add(python_env.ensure_venv)
            tasks.add(model.publish)
            built = tasks.add(lambda: golang.ensure_binaries(*CLUSTER_BINARIES), modules)
            tasks.add(_engine, built)
            running = tasks.add(lambda: cluster.up(arguments.kwok_node), built)
            archives = tasks.add(images.build_all)
            tasks.add(lambda: _import_images(cluster, images), running, archives)
        write_env_file()
        stack = Stack(DEV)
        stack.ensure()
        with step("pulumi up --stack dev"):
            stack.run("up", "--yes")
        _farewell(stack.outputs(), time.monotonic() - started)


def _import_images(cluster: Any, images: Any) -> None:
    images.import_into(cluster.containerd_client().argv)


def _farewell(outputs: dict[str, Any], seconds: float) -> None:
    endpoint = outputs["endpoint"]
    served = next(iter(outputs["models"]))
    request = example.write_chat(served).relative_to(paths.ROOT)
    print(
        f"\nUp after {format_seconds(seconds)}.\n\n"
        f"  endpoint  {endpoint}\n"
        f"  model     {served}\n"
        f"  shell     source {paths.ENV_FILE.relative_to(paths.ROOT)}\n\n"
        f"curl -sS {endpoint}/v1/chat/completions -H 'Content-Type: application/json' -d @{request}"
    )


def down(_: argparse.Namespace) -> None:
    """Destroy the stack and leave the host as it was."""
    from toolchain import cluster

    if not paths.TOOLCHAIN.exists():
        note("nothing to do: .toolchain does not exist")
        return
    with _exclusive("down"):
        if (paths.BIN / "pulumi").exists():
            stack = Stack(DEV)
            if stack.exists():
                _destroy(stack, reachable=cluster.status().running)
        cluster.down()


def _destroy(stack: Stack, *, reachable: bool) -> None:
    if reachable:
        try:
            stack.ensure()
            with step("pulumi destroy --stack dev"):
                stack.run("destroy", "--yes")
        except ToolchainError as error:
            note(f"{error}; the stack goes with its cluster")
    else:
        note("the cluster does not answer; the stack goes with it")
    stack.remove()


def preview(arguments: argparse.Namespace) -> None:
    """Plan a stack; state is local unless PULUMI_BACKEND_URL names another backend."""
    with parallel() as tasks:
        tasks.add(_engine)
    write_env_file()
    stack = Stack(arguments.stack, own_backend=False)
    stack.ensure()
    planned = stack.preview()
    summarized = _summarize(arguments.stack, planned, arguments.summary)
    # The engine's own status; the summary's only if nothing else is wrong.
    if status := planned.status or summarized:
        raise SystemExit(status)


def _summarize(stack: str, planned: Preview, files: Sequence[Path]) -> int:
    """Print what a reviewer wants to know; gives the exit status of the program that knows stacks."""
    outputs = [argument for file in files for argument in ("--output", str(file.absolute()))]
    print(flush=True)
    return subprocess.run(
        [paths.VENV / "bin" / "python", "-m", "stacks.summary", "--stack", stack, *outputs],
        cwd=paths.ROOT,
        env={**os.environ, **python_env.BYTE_CODE},
        input="".join(planned.events),
        text=True,
        check=False,
    ).returncode


def _engine() -> None:
    pulumi_home.ensure()


def _go_check(_: argparse.Namespace) -> None:
    """gofmt and go vet over our own Go sources."""
    go, env = golang.go(), golang.environment()
    gofmt = go.with_name("gofmt") if go.with_name("gofmt").exists() else go.resolve().with_name("gofmt")
    own = [str(paths.GO_MODULE / name) for name in ("cmd", "internal", "cert-manager/cmd")]
    unformatted = subprocess.run(
        [gofmt, "-l", *own], capture_output=True, text=True, check=True
    ).stdout.split()
    if unformatted:
        raise ToolchainError(f"not formatted: {', '.join(unformatted)}; run `gofmt -w {' '.join(own)}`")
    with step("go vet"):
        for module in (paths.GO_MODULE, paths.CERT_MANAGER_MODULE):
            packages = [f"./{name}/..." for name in ("cmd", "internal") if (module / name).is_dir()]
            run_logged([go, "vet", *packages], log=f"go-vet-{module.name}", cwd=module, env=env)


def _cluster(arguments: argparse.Namespace) -> None:
    from toolchain import cluster

    if arguments.action == "status":
        print(cluster.status())
        return
    with _exclusive(f"cluster {arguments.action}"):
        if arguments.action == "up":
            cluster.preflight()
            cluster.up(arguments.kwok_node)
            write_env_file()
        else:
            cluster.down()


def _images() -> None:
    from toolchain import images

    images.build_all()


def _model() -> Path:
    from toolchain import model

    published: Path = model.publish()
    return published


def _venv(arguments: argparse.Namespace) -> None:
    print(python_env.ensure_venv(dev=arguments.dev))


def clean(arguments: argparse.Namespace) -> None:
    """Remove everything that the toolchain ever made."""
    down(arguments)
    if not paths.TOOLCHAIN.exists():
        return
    with step("remove .toolchain"):
        # Go's module cache is read-only.
        for directory, _, _ in os.walk(paths.TOOLCHAIN):
            os.chmod(directory, os.stat(directory).st_mode | stat.S_IRWXU)
        shutil.rmtree(paths.TOOLCHAIN)
