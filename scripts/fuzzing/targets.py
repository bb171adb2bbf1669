"""All targets by name."""

from __future__ import annotations

from fuzzing import (
    certificates,
    channels,
    codecs,
    documents,
    frames,
    greetings,
    handshakes,
    materials,
    models,
    readings,
    sensors,
    services,
    settings,
    stores,
)
from fuzzing.target import Target

TARGETS: dict[str, Target] = {
    module.TARGET.name: module.TARGET
    for module in (
        frames, greetings, handshakes, channels, codecs, materials, models, stores, settings, documents, certificates,
        services, sensors, readings,
    )
}  # fmt: skip
