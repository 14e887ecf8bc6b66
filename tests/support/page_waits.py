"""Waiting for a page. Playwright's own `wait_for_function` needs `eval`, which the page's rules forbid."""

from playwright.sync_api import Page

from tests.support.waiting import wait_until


def until(page: Page, script: str, *, timeout_s: float = 30) -> None:
    """Wait until an expression of JavaScript holds in a page."""
    wait_until(lambda: bool(page.evaluate(script)), script, timeout_s=timeout_s)
