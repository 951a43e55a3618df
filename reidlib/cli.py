"""The command `reid`: study, plan, sum up, train on one's own images, render a world, move records between machines."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; bad input and what the system refuses become one sentence on stderr and exit status 2."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except (ValueError, OSError) as error:
        print(f"reid {options.command}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"reid {options.command}: stopped; what was computed is kept, the same command resumes", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="reid", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")

    study = commands.add_parser("study", help="train, execute the chapters, build the book")
    study.add_argument("--profile", default="quick", help="name in params/ or a .yaml file (default: quick)")
    study.add_argument("--publish", action="store_true", help="into book/ itself instead of a copy in _build/")
    study.add_argument(
        "--executor",
        choices=("inline", "torchrun", "submitit"),
        default="inline",
        help="runs side by side here, each by several processes together, or as a Slurm array (default: inline)",
    )
    study.add_argument("--compile", action="store_true", help="torch.compile networks: for long runs on a GPU")
    study.add_argument("--processes", type=int, default=2, help="of torchrun for each run (default: 2)")
    study.add_argument(
        "--slurm",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a parameter of submitit's executor, such as slurm_partition=gpu or timeout_min=600",
    )
    study.set_defaults(run=_study)

    plan = commands.add_parser("plan", help="list a profile's runs with steps, images, memory and time; train nothing")
    plan.add_argument("profile", help="name in params/ or a .yaml file")
    plan.add_argument("--chapter", action="append", help="only this chapter's runs; may be repeated (default: all)")
    plan.set_defaults(run=_plan)

    summary = commands.add_parser("summary", help="write anew what sums up book/, in it and in the README")
    summary.set_defaults(run=_summary)

    explorer = commands.add_parser("explorer", help="write the rankings and pictures of book/'s explorer anew")
    explorer.set_defaults(run=_explorer)

    train = commands.add_parser("train", help="train from scratch on your own images and report mAP and CMC")
    train.add_argument("--root", required=True, type=Path, help="folder with train/ and test/ (or query/ and gallery/)")
    train.add_argument(
        "--pattern", help="regular expression on file names with a group person, and camera, frame if known"
    )
    train.add_argument("--height", type=int, default=128, help="pixels (default: 128)")
    train.add_argument("--width", type=int, default=64, help="pixels (default: 64)")
    train.add_argument("--epochs", type=int, default=60, help="(default: 60)")
    train.add_argument("--seed", type=int, default=0, help="(default: 0)")
    train.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="(default: auto)")
    train.add_argument("--allow-single", action="store_true", help="accept training persons with one image")
    train.set_defaults(run=_train)

    world = commands.add_parser("world", help="render the Courtside world to a folder, in SynergyReID's layout")
    world.add_argument("--out", required=True, type=Path, help="a new folder")
    for split, count in (("train", 436), ("val", 50), ("test", 468)):
        world.add_argument(f"--{split}-ids", type=int, default=count, help=f"identities (default: {count})")
    world.set_defaults(run=_world)

    store = commands.add_parser("store", help="list runs, or copy their records to and from another folder")
    store.add_argument("action", choices=("list", "export", "import"))
    store.add_argument("--folder", type=Path, help="what to export to or import from")
    store.add_argument("--profile", default=None, help="only runs recorded under this profile's name (default: all)")
    store.add_argument("--weights", action="store_true", help="with the weights, not only records and features")
    store.set_defaults(run=_store)
    return parser


def _study(options: argparse.Namespace) -> None:
    from reidlib.study.publish import study_book

    study_book(options.profile, publish=options.publish, compiled=options.compile, executor=_executor(options))


def _executor(options: argparse.Namespace):
    """What computes the runs, as `plans.run` takes it."""
    if options.executor == "torchrun":
        from reidlib.study.group import torchrun

        return partial(torchrun, processes=options.processes)
    if options.executor == "submitit":
        from reidlib.study.cluster import submit_array

        return partial(submit_array, parameters=dict(_parameter(text) for text in options.slurm))
    from reidlib.study.pool import side_by_side

    return side_by_side


def _parameter(text: str) -> tuple[str, int | str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"--slurm: wants KEY=VALUE, such as slurm_partition=gpu, got {text!r}")
    return name, int(value) if value.isdecimal() else value


def _plan(options: argparse.Namespace) -> None:
    from reidlib.study.chapter import open_study, published_records
    from reidlib.study.estimate import speeds
    from reidlib.study.needs import CHAPTERS
    from reidlib.study.planning import plan_text
    from reidlib.study.profile import load_profile, unknown

    profile = load_profile(options.profile)
    for chapter in options.chapter or []:
        if chapter not in CHAPTERS:
            raise ValueError(unknown("chapter", chapter, CHAPTERS))
    chapters = options.chapter or list(CHAPTERS)
    devices = ("cuda", "cpu") if profile.device == "auto" else (profile.device,)
    print(plan_text(open_study(profile), chapters, speeds(published_records() / "benchmarks", devices)))


def _summary(options: argparse.Namespace) -> None:
    from reidlib.study.provenance import ROOT
    from reidlib.study.summary import write_readme, write_summary

    for path in [*write_summary(ROOT / "book"), write_readme(ROOT / "README.md", ROOT / "book")]:
        print(path.relative_to(ROOT))


def _explorer(options: argparse.Namespace) -> None:
    from reidlib.study.chapter import open_study
    from reidlib.study.explorer import write_explorer
    from reidlib.study.profile import load_profile
    from reidlib.study.provenance import ROOT

    for path in write_explorer(open_study(load_profile("laptop")), ROOT / "book"):
        print(path.relative_to(ROOT))


def _train(options: argparse.Namespace) -> None:
    from reidlib.study.own import train_on_folder

    record = train_on_folder(
        options.root,
        options.pattern,
        height=options.height,
        width=options.width,
        epochs=options.epochs,
        seed=options.seed,
        device=options.device,
        allow_single=options.allow_single,
    )
    metrics = record["metrics"]
    queries = sum(value is not None for value in metrics["average_precision"])
    print(
        f"mAP {100 * metrics['mAP']:.1f}, CMC-1 {100 * metrics['cmc1']:.1f}, CMC-5 {100 * metrics['cmc5']:.1f}, "
        f"mINP {100 * metrics['mINP']:.1f} on {queries} queries; record {record['key'][:12]}"
    )


def _world(options: argparse.Namespace) -> None:
    from reidlib.data.worlds import write_courtside
    from reidlib.study.data import courtside_spec

    root = write_courtside(courtside_spec(options.train_ids, options.val_ids, options.test_ids), options.out)
    print(f"The world is in {root}; open_dataset('courtside', {str(root)!r}) reads it.")


def _store(options: argparse.Namespace) -> None:
    from reidlib.data.paths import data_home
    from reidlib.study.factorial import FILE as FACTORIAL
    from reidlib.study.fusing import RANKING
    from reidlib.study.plans import ATTENDED, AUDIT, EXAMINED, FEATURES
    from reidlib.study.store import all_entries, copy_entries

    own = data_home() / "store"
    if options.action != "list" and options.folder is None:
        raise ValueError(f"--folder: {options.action} wants a folder")
    source = options.folder if options.action == "import" else own
    entries = [e for e in all_entries(source) if options.profile in (None, e.record.get("profile"))]
    if options.action == "list":
        for e in entries:
            seed = e.record["config"].get("seed", "")
            print(f"{e.record['stage']:9} {e.key[:12]}  {e.record['profile']:8} {e.record['row']}, seed {seed}")
        return
    files = [FEATURES, AUDIT, EXAMINED, ATTENDED, FACTORIAL, RANKING]
    files += ["weights.safetensors"] if options.weights else []
    target = own if options.action == "import" else options.folder
    size = copy_entries(entries, target, files=files)
    print(f"{len(entries)} records, {size / 2**20:.1f} MiB, {options.action}ed")


if __name__ == "__main__":
    sys.exit(main())
