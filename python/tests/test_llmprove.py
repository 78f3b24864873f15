"""The module against the command that was installed with it."""

import tempfile
import unittest
from pathlib import Path

import llmprove
from llmprove import Verdict


class Commands(unittest.TestCase):
    def test_check(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            answer = llmprove.check("X", "0.2", certificate=Path(folder) / "x.json")
            self.assertEqual(answer.verdict, Verdict.PROVED)
            self.assertLessEqual(answer.upper, 0.2)
            assert answer.certificate and answer.statement
            self.assertTrue(answer.certificate.is_file() and answer.statement.is_file())

    def test_refuted_by_bytes_and_by_id(self) -> None:
        by_text = llmprove.check("e", 0.2)
        self.assertEqual(by_text.verdict, Verdict.REFUTED)
        assert by_text.witness is not None
        self.assertGreater(by_text.witness.probability[0], 0.2)
        self.assertEqual(llmprove.check(b"e", 0.2).token, by_text.token)
        self.assertEqual(llmprove.check(by_text.token.id, 0.2).token, by_text.token)

    def test_audit(self) -> None:
        found = llmprove.audit(["0.2", "0.5"], token_ids="40-49", time=5)
        self.assertEqual([row.id for row in found.tokens], list(range(40, 50)))
        counts = found.summary["0.5"]
        self.assertEqual(counts.proved + counts.refuted + counts.unknown, 10)

    def test_suite(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            suite = Path(folder) / "suite.toml"
            suite.write_text('[[statement]]\nname = "x"\ntoken = "X"\nthreshold = 0.2\n')
            self.assertEqual([o.how for o in llmprove.prove(suite).outcomes], ["searched"])
            again = llmprove.ci(suite)
            self.assertTrue(again.ok)
            self.assertEqual([o.how for o in again.outcomes], ["checked"])

    def test_errors_name_the_way_out(self) -> None:
        with self.assertRaises(llmprove.LlmproveError) as caught:
            llmprove.check("X", "2")
        self.assertIn("between 0 and 1", caught.exception.message)
        self.assertTrue(caught.exception.help)


if __name__ == "__main__":
    unittest.main()
