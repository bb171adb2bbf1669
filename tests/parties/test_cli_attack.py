"""`pehealth attack toy32` shows the key and all weights of a network, read from one server's ciphertexts."""

import pytest

from parties.cli import main


@pytest.mark.parametrize(("words", "sizes"), [((), (8, 84)), (("--net", "wearable-d", "--digits", "2"), (6, 84))])
def test_the_attack_reads_the_key_and_every_weight(capsys, words, sizes) -> None:
    assert main(["attack", "toy32", *words]) == 0
    shown = capsys.readouterr().out
    assert "the centre's key" in shown
    assert "NOT" not in shown
    for size in sizes:
        assert f"{size} of {size} weights equal the real ones" in shown
    assert "16 logarithms" in shown
