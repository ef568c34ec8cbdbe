"""A run from its entry to its result or its error: `python3 -m unittest` in runtime/python."""

import json
import os
import subprocess
import sys
import unittest
from unittest import mock

from runner import Context, Environment, Failure, Variable, entry, missing


def context(**variables):
    entries = [Variable(key, value) for key, value in variables.items()]
    return Context("a" * 24, "b" * 24, "a-token", Environment(entries))


def ended(analysis, scope="[]", **variables):
    """The result as JSON, or the Failure's text."""
    with mock.patch.dict(os.environ):
        try:
            return entry.enter(analysis, context(**variables), scope)
        except Failure as failure:
            return str(failure)


class Runs(unittest.TestCase):
    def test_scope_goes_in_and_the_result_comes_out_as_json(self):
        self.assertEqual(ended(lambda context, scope: {"sum": sum(scope)}, "[1, 2]"), '{"sum": 3}')

    def test_nothing_returned_is_no_result(self):
        self.assertIsNone(ended(lambda context, scope: None))

    def test_an_exception_tells_what_where_and_why(self):
        def inner():
            return {}["pump"]

        def analysis(context, scope):
            try:
                inner()
            except KeyError as error:
                raise ValueError("no pump") from error

        told = ended(analysis)
        self.assertRegex(told, r"^ValueError: no pump\n  at \S*test_entry.py:\d+ in analysis\n")
        self.assertRegex(told, r"caused by KeyError: 'pump'\n  at \S+:\d+ in inner\n  at \S+:\d+ in analysis$")

    def test_a_failure_is_its_message_alone(self):
        def analysis(context, scope):
            raise Failure("the pump is off")

        self.assertEqual(ended(analysis), "the pump is off")

    def test_endless_recursion_tells_twenty_lines(self):
        def analysis(context, scope):
            return analysis(context, scope)

        lines = ended(analysis).splitlines()
        self.assertIn("RecursionError", lines[0])
        self.assertEqual(len(lines), 2 + entry.MAX_FRAMES)
        self.assertRegex(lines[-1], r"  and \d+ more")

    def test_an_exit_is_an_outcome(self):
        def leaves(code):
            def analysis(context, scope):
                raise SystemExit(code)

            return analysis

        self.assertIsNone(ended(leaves(0)))
        self.assertIsNone(ended(leaves(None)))
        self.assertEqual(ended(leaves("no data")), "no data")
        self.assertEqual(ended(leaves(3)), "the analysis ended with exit code 3")

    def test_a_result_that_is_no_json_is_a_failure_that_says_why(self):
        for result in [float("nan"), {1, 2}, object()]:
            self.assertIn("cannot be written as JSON", ended(lambda context, scope: result))

    def test_the_process_environment_is_that_of_the_run_alone(self):
        seen = {}
        os.environ["OF_THE_BUILD"] = "x"
        self.addCleanup(os.environ.pop, "OF_THE_BUILD", None)
        ended(lambda context, scope: seen.update(os.environ), '{"a": 1}', KEY="välue", **{"a=b": "c"})
        self.assertNotIn("OF_THE_BUILD", seen)
        self.assertNotIn("a", seen)
        self.assertEqual(seen["KEY"], "välue")
        self.assertEqual(seen["T_ANALYSIS_DATA"], '{"a": 1}')
        self.assertEqual(seen["T_ANALYSIS_ID"], "a" * 24)
        listed = json.loads(seen["T_ANALYSIS_ENV"])
        self.assertEqual(listed[0], {"key": "KEY", "value": "välue"})

    def test_random_numbers_differ_between_runs(self):
        import random

        random.seed(1)
        first = ended(lambda context, scope: random.random())
        random.seed(1)
        self.assertNotEqual(first, ended(lambda context, scope: random.random()))


class Environments(unittest.TestCase):
    def test_a_list_of_keys_and_values_that_answers_by_name(self):
        environment = context(KEY="hush", OTHER="").environment
        self.assertEqual(environment[0], {"key": "KEY", "value": "hush"})
        self.assertEqual([entry["key"] for entry in environment], ["KEY", "OTHER"])
        self.assertEqual(environment["KEY"], "hush")
        self.assertEqual(environment.get("OTHER"), "")
        self.assertEqual(environment.get("NONE", "default"), "default")
        self.assertIn("KEY", environment)
        self.assertNotIn("hush", environment)

    def test_a_missing_key_is_named_and_the_error_speaks_of_policies(self):
        with self.assertRaisesRegex(Failure, "^API_KEY is not in the environment.*policy"):
            context().environment["API_KEY"]

    def test_a_print_shows_keys_and_no_value(self):
        printed = repr(context(KEY="hush")) + repr(context(KEY="hush").environment)
        self.assertNotIn("hush", printed)
        self.assertNotIn("a-token", printed)


class Missing(unittest.TestCase):
    def test_each_module_that_cannot_work_says_what_to_do(self):
        for name in missing.ADVICE:
            with self.assertRaisesRegex(ImportError, f"^{name} does not work in an analysis: .{{20}}"):
                missing.Refusals.find_spec(name)
        self.assertIsNone(missing.Refusals.find_spec("json"))

    def test_a_late_import_says_to_import_at_the_top(self):
        with self.assertRaisesRegex(ModuleNotFoundError, "^sqlite3 .* at the top of your file"):
            missing.Late.find_spec("sqlite3")

    def test_no_preloaded_module_is_one_that_cannot_work(self):
        self.assertFalse(set(missing.PRELOADED) & set(missing.ADVICE))
        missing.preload()

    def test_functions_that_import_late_find_what_they_need(self):
        calls = [
            "__import__('datetime').datetime.strptime('2024-05-01', '%Y-%m-%d').strftime('%c')",
            "'b\u00fccher.example'.encode('idna')",
            "b'x'.decode('iso-8859-15') + '\u00fc'.encode('unicode_escape').decode('cp437')",
            "__import__('xml.etree.ElementTree').etree.ElementTree.fromstring('<a/>').tag",
            "__import__('gzip').decompress(__import__('gzip').compress(b'x'))",
            "__import__('logging').getLogger().debug('x')",
            "__import__('urllib.parse').parse.urlsplit('https://[::1]:3/\u00e4')",
            "__import__('uuid').uuid4()",
            "__import__('email.utils').utils.parsedate_to_datetime('Mon, 20 Nov 1995 19:12:08 -0500')",
            "__import__('statistics').quantiles([1, 2, 3])",
            "__import__('traceback').format_exc()",
        ]
        for call in calls:
            # As in a run: nothing is found but what is there and what is part of the interpreter.
            program = (
                "import sys; from runner import missing; missing.preload(); "
                "sys.meta_path[:] = sys.meta_path[:2]; missing.close(); " + call
            )
            done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, f"{call}: {done.stderr}")
