"""The printed request carries a real picture."""

from __future__ import annotations

import base64
import io
import json

from PIL import Image

from toolchain import example


def test_screenshot_is_a_png_of_half_a_phone() -> None:
    picture = Image.open(io.BytesIO(example.screenshot()))
    picture.load()
    assert (picture.format, picture.size, picture.mode) == ("PNG", (540, 1200), "RGB")
    assert picture.getpixel((10, 10)) == (33, 82, 196)
    assert picture.getpixel((539, 1199)) == (244, 245, 247)


def test_request_names_the_model_and_embeds_the_picture() -> None:
    body = json.loads(example.write_chat("autoglm-phone-9b").read_text())
    assert body["model"] == "autoglm-phone-9b"
    picture, text = body["messages"][0]["content"]
    header, data = picture["image_url"]["url"].split(",")
    assert header == "data:image/png;base64"
    assert base64.b64decode(data) == example.screenshot()
    assert text["type"] == "text"
