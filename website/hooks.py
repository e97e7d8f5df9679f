"""Hooks of mkdocs: pages that are generated, and links as they are in the repository."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from commands import commands_page
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
ROOT_PAGES = {name: f"{name.lower()}.md" for name in ("ARCHITECTURE", "CHANGELOG", "CONTRIBUTING")}
"""Pages beside `docs`, and their names on the site."""
ON_SITE = {**{f"{name}.md": uri for name, uri in ROOT_PAGES.items()}, "README.md": "commands.md"}
"""Pages for links to pages beside `docs`: the commands of README are a page of their own."""
LINK = re.compile(r"\]\((?![a-z]+:)([^)#\s]+)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the reference of all commands, the pages beside `docs` and the style sheet."""
    files.append(File.generated(config, "commands.md", content=commands_page()))
    for name, uri in ROOT_PAGES.items():
        files.append(File.generated(config, uri, abs_src_path=str(ROOT / f"{name}.md")))
    files.append(
        File.generated(config, "site.css", abs_src_path=str(Path(__file__).with_name("site.css")))
    )
    return files


def on_page_markdown(
    markdown: str, page: Page, config: MkDocsConfig, files: Files, **_: Any
) -> str:
    """Rewrites links between files of the repository, and adds the files that are linked."""
    folder = "." if page.file.src_uri in ROOT_PAGES.values() else "docs"
    return with_site_links(markdown, folder, lambda path: _add(path, config, files))


def _add(path: str, config: MkDocsConfig, files: Files) -> str:
    """The address on the site of a file that is not a page.  Raises PluginError for a page."""
    if path.endswith(".md"):
        raise PluginError(f"a link to {path}, which is no page of the site; link to a page of docs")
    uri = f"source/{path}"
    if files.get_file_from_path(uri) is None and (ROOT / path).is_file():
        files.append(File.generated(config, uri, abs_src_path=str(ROOT / path)))
    return uri


def with_site_links(markdown: str, folder: str, add: Callable[[str], str]) -> str:
    """Markdown of a page in `folder` of the repository, with links as on the site.

    add: gives the address of a file that is neither in `docs` nor a page.
    """

    def address(link: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(folder, link[1]))
        if path.startswith("docs/"):
            return f"]({path.removeprefix('docs/')}"
        return f"]({ON_SITE.get(path) or add(path)}"

    return LINK.sub(address, markdown)
