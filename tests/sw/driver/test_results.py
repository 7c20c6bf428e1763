"""What a job leaves is read as it was meant."""

from __future__ import annotations

from hw.host.registers import RECORD_LINE_WORDS, ErrorCause, Record
from sw.driver.results import ResultRecord, error_name


def test_a_result_record_is_taken_apart():
    words = [0] * RECORD_LINE_WORDS + [0xFFFF_FFFE, 5, 7, 0]
    words[Record.JOB], words[Record.PREDICTION], words[Record.CYCLES] = 12, 1, 900
    words[Record.DESCRIPTORS], words[Record.ERROR] = 4, ErrorCause.MEMORY_ERROR
    assert ResultRecord.from_words(words, 3) == ResultRecord(
        job=12, prediction=1, cycles=900, descriptors=4, error="MEMORY_ERROR", logits=(-2, 5, 7)
    )


def test_errors_have_names():
    assert [error_name(code) for code in (0, 1, 2, 99)] == ["NONE", "BAD_CHECK", "BAD_OPCODE", "UNKNOWN_99"]
