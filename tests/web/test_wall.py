import pytest
from playwright.sync_api import Page

from tests.support.browser import serving
from tests.support.ports import unused_port
from tests.support.publish_demo import publishing

pytestmark = pytest.mark.slow


def test_it_opens(page: Page) -> None:
    with publishing(f"tcp://127.0.0.1:{unused_port()}") as demo, serving(demo.endpoint) as web:
        page.goto(web.url)
        page.wait_for_selector("text=wall")
