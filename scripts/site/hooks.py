"""Make the pages that live at the repository's root part of the site, and their links fit."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mkdocs.structure.files import File, Files

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.pages import Page

ROOT: Final = Path(__file__).resolve().parents[2]
PAGES: Final = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
"""Of the root: where they stand on the site."""
_LINK: Final = re.compile(r"\[([^\]]*)\]\((?!https?:|#|mailto:)([^)#\s]+)(#[^)\s]*)?\)")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the decision records, of which new ones come, into the navigation."""
    records = sorted((ROOT / "docs/adr").glob("0*.md"))
    pages = ["adr/README.md", *(f"adr/{path.name}" for path in records)]
    for section in config.nav or []:
        if "How it works" in section:
            section["How it works"].append({"Decision records": pages})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of the root."""
    for name, target in PAGES.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        files.append(File.generated(config, target, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links between files of the repository into links of the site.

    What is not on the site, such as a source file, is named and not linked.
    """
    del config
    source = page.file.src_uri
    # The pages of the root have links as from there; all others as from docs/.
    here = ROOT if source in PAGES.values() else (ROOT / "docs" / source).parent

    def fitted(found: re.Match[str]) -> str:
        text, path, anchor = found[1], found[2], found[3] or ""
        target = (here / path).resolve()
        if not target.is_relative_to(ROOT):
            return found[0]
        inside = target.relative_to(ROOT).as_posix()
        uri = PAGES.get(inside, inside.removeprefix("docs/"))
        if files.get_file_from_path(uri) is None:
            return text if text.startswith("`") else f"`{inside}`" if text == path else text
        up = "../" * source.count("/")
        return f"[{text}]({up}{uri}{anchor})"

    return _LINK.sub(fitted, markdown)
