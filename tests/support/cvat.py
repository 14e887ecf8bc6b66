"""XML as CVAT exports it: CVAT for video 1.1."""

Box = tuple[float, float, float, float]


def cvat_xml(source: str, *tracks: str, size: tuple[int, int] = (48, 36)) -> str:
    """A task with tracks of a video; `size` is its width and height."""
    original = f"<original_size><width>{size[0]}</width><height>{size[1]}</height></original_size>"
    meta = f"<meta><task><name>t</name>{original}<source>{source}</source></task></meta>"
    return f'<?xml version="1.0"?><annotations><version>1.1</version>{meta}{"".join(tracks)}</annotations>'


def cvat_track(number: int, label: str, *frames: tuple[int, int], box: Box = (4, 6, 20, 30)) -> str:
    """A track with a box in some frames, each with 1 where the thing is outside of the picture, else 0."""
    boxes = [cvat_box(frame, outside, box) for frame, outside in frames]
    return f'<track id="{number}" label="{label}" source="manual">{"".join(boxes)}</track>'


def cvat_box(frame: int, outside: int, box: Box) -> str:
    sides = " ".join(f'{key}="{value}"' for key, value in zip(("xtl", "ytl", "xbr", "ybr"), box, strict=True))
    return f'<box frame="{frame}" keyframe="1" outside="{outside}" occluded="0" {sides} z_order="0"></box>'
