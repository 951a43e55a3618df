"""A Sphinx extension: links to records lead to the pages of runs, and from there to the compressed records.

And pages as a browser wants them: without scripts for a server that is not there, and with names for a screen reader.

The chapters' tables link to records as files. Of each of these the site has a line on a page of book/runs, which shows
the training behind it, and the file, compressed: as they are, they would be half of the site.
"""

from __future__ import annotations

import gzip
import re
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx

RECORD = re.compile(r"records/(\w+)/((\w{12})\w*)/record\.json")
EARLY, LATE = 100, 900  # before Sphinx collects the files to copy; after the theme has made up its mind
NAMED = {  # the theme's HTML -> the same for a screen reader, too
    '<summary><span class="toctree-toggle"': '<summary aria-label="The pages below"><span class="toctree-toggle"',
    '<div role="list" class="citation-list">': '<div class="citation-list">',
    ' role="doc-biblioentry"': "",
    '<figure class="curves">': '<figure class="curves" tabindex="0">',  # wider than a phone: the keys scroll them
    '<figure class="align-default"': '<figure class="align-default" tabindex="0"',
}
CELL = re.compile(r"<td[ >].*?</td>", re.DOTALL)
TOGETHER = re.compile(r"(?<=\d) (?=± \d)|(?<=\d ±) (?=\d)|(?<=\d,) (?=[+−]?[\d.]+\])")  # 81.2 ± 3.7, [−1.0, +1.9]
UNUSED = ("*.map", "*.ttf")  # of the theme: for its authors, and for browsers without WOFF2


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("doctree-read", lead_to_runs, priority=EARLY)
    app.connect("html-page-context", leave_out_thebe, priority=LATE)
    app.connect("build-finished", write_files)
    app.connect("build-finished", name_parts)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def lead_to_runs(app: Sphinx, doctree: nodes.document) -> None:
    """Turns downloads of records into links: of a chapter, to its own page of runs; of that page, to the files."""
    here = app.env.docname
    if app.builder.format != "html":
        return
    places = anchors(Path(app.srcdir), first=here.split("/")[-1])
    for node in list(doctree.findall(addnodes.download_reference)):
        found = RECORD.search(node["reftarget"])
        if found is None or found[3] not in places:
            continue
        if here.startswith("runs/"):
            uri = f"../records/{found[1]}/{found[2]}.json.gz"
        else:
            uri = app.builder.get_relative_uri(here, places[found[3]]) + f"#{found[3]}"
        node.replace_self(nodes.reference("", node.astext(), refuri=uri, internal=True, classes=["record"]))


def anchors(book: Path, first: str) -> dict[str, str]:
    """The page of each record by the first digits of its key; that of chapter `first` before others."""
    found: dict[str, str] = {}
    for path in sorted(book.glob("runs/*.md"), key=lambda path: (path.stem != first, path.stem)):
        for key in re.findall(r'<span id="(\w{12})">', path.read_text(encoding="utf-8")):
            found.setdefault(key, f"runs/{path.stem}")
    return found


def leave_out_thebe(app: Sphinx, pagename: str, templatename: str, context: dict, doctree) -> None:
    """Drops the scripts of Thebe, which runs code on a server, and declares its address twice: an error in browsers."""
    for files in ("script_files", "css_files"):
        known = context.get(files, [])
        context[files] = [file for file in known if "thebe" not in f"{file} {getattr(file, 'attributes', '')}".lower()]


def name_parts(app: Sphinx, error: Exception | None) -> None:
    """Says what the theme's buttons are; a bibliography's roles, deprecated and wrongly nested, go.

    And keeps the parts of a measured number in a table on one line.
    """
    if error is not None or app.builder.format != "html":
        return
    for path in Path(app.outdir).rglob("*.html"):
        text = before = path.read_text(encoding="utf-8")
        for old, new in NAMED.items():
            text = text.replace(old, new)
        text = CELL.sub(lambda cell: TOGETHER.sub("&nbsp;", cell[0]), text)
        if text != before:
            path.write_text(text, encoding="utf-8")


def write_files(app: Sphinx, error: Exception | None) -> None:
    """Compresses the records that the pages of runs link to, and removes what no browser loads."""
    if error is not None or app.builder.format != "html":
        return
    book, site = Path(app.srcdir), Path(app.outdir)
    for page in book.glob("runs/*.md"):
        for stage, key, _ in set(RECORD.findall(page.read_text(encoding="utf-8"))):
            target = site / "records" / stage / f"{key}.json.gz"
            target.parent.mkdir(parents=True, exist_ok=True)
            whole = (book / "records" / stage / key / "record.json").read_bytes()
            target.write_bytes(gzip.compress(whole, mtime=0))  # the same bytes from every build
    for pattern in UNUSED:
        for path in (site / "_static").rglob(pattern):
            path.unlink()
