"""Load, look at, extract from, pretrain on and benchmark with CytoImageNet."""


def __getattr__(name: str) -> str:
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .core.versions import project_version

    return project_version()
