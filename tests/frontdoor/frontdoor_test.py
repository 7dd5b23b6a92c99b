#!/usr/bin/env python3
"""Tests of ./dev, .ci/run and tools/test_summary.py with stand-ins for apt-get, dpkg-query, id and the builds."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ("bash", "cat", "chmod", "cut", "date", "dirname", "env", "find", "grep", "ln", "mkdir", "mktemp", "mv", "nproc",
         "readlink", "rm", "sha256sum", "tail", "tee", "xz")


class Checkout(unittest.TestCase):
    """A folder with the scripts under test, and a PATH of exactly what each test puts there."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name) / "checkout"
        self.bin = Path(folder.name) / "bin"
        self.bin.mkdir()
        (self.root / ".ci").mkdir(parents=True)
        shutil.copy(ROOT / "dev", self.root / "dev")
        shutil.copy(ROOT / ".ci/run", self.root / ".ci/run")
        for tool in TOOLS:
            (self.bin / tool).symlink_to(shutil.which(tool))
        self.program("id", "echo 1000")
        self.installed("")

    def program(self, name, script):
        file = self.bin / name
        file.write_text("#!/usr/bin/env bash\n" + script + "\n", encoding="utf-8")
        file.chmod(0o755)

    def installed(self, but):
        """dpkg-query knows every package except those in `but`."""
        self.program("dpkg-query", f"""
            shift 3
            for package in "$@"; do
              case " {but} " in *" $package "*) echo "no packages found matching $package" >&2 ;;
                *) echo "installed $package" ;; esac
            done""")

    def run_script(self, *command, **env):
        done = subprocess.run(command, cwd=self.root, text=True, check=False, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, env={"PATH": str(self.bin), "HOME": str(self.root), **env})
        return done.returncode, done.stdout


class Dev(Checkout):
    def test_help_names_every_command(self):
        code, output = self.run_script("./dev")
        self.assertEqual(code, 0)
        for command in ("demo", "test", "build", "bench", "lint", "fmt", "asan", "tsan", "fuzz", "packages", "clean"):
            self.assertRegex(output, rf"(?m)^  {command}\b")

    def test_an_unknown_command_fails_and_helps(self):
        code, output = self.run_script("./dev", "tset")
        self.assertNotEqual(code, 0)
        self.assertIn("unknown command: tset", output)
        self.assertIn("usage: ./dev", output)

    def test_without_root_the_exact_line_is_printed_and_nothing_is_done(self):
        self.installed("ninja-build libfmt-dev")
        for command in ("demo", "test", "build", "asan"):
            code, output = self.run_script("./dev", command)
            self.assertNotEqual(code, 0, command)
            self.assertIn("\n  sudo apt-get install -y --no-install-recommends ", output)
            self.assertRegex(output, r"recommends (kubernetes-client|ninja-build libfmt-dev)\n")

    def test_root_installs_exactly_what_is_missing_without_questions(self):
        self.installed("ninja-build libfmt-dev kubernetes-client clang-tidy")
        self.program("id", "echo 0")
        self.program("apt-get", 'echo "ran: $DEBIAN_FRONTEND $*"')
        code, output = self.run_script("./dev", "packages")
        self.assertEqual(code, 0, output)
        self.assertIn("ran: noninteractive install -y --no-install-recommends "
                      "ninja-build libfmt-dev clang-tidy kubernetes-client\n", output)

    def test_stale_package_lists_are_updated_once(self):
        self.installed("ninja-build")
        self.program("id", "echo 0")
        self.program("apt-get", 'echo "ran: $*"; [ "$1" = update ] && touch "$HOME/updated"; [ -f "$HOME/updated" ]')
        (self.bin / "touch").symlink_to(shutil.which("touch"))
        code, output = self.run_script("./dev", "packages")
        self.assertEqual(code, 0, output)
        self.assertIn("ran: update\nran: install", output)

    def test_a_kubectl_from_elsewhere_is_enough(self):
        self.installed("kubernetes-client")
        self.assertNotEqual(self.run_script("./dev", "packages")[0], 0)
        self.program("kubectl", "true")
        self.assertEqual(self.run_script("./dev", "packages")[0], 0)

    def test_etcd_is_wanted_only_beside_a_kube_apiserver(self):
        self.installed("etcd-server")
        self.program("kubectl", "true")
        self.assertEqual(self.run_script("./dev", "packages")[0], 0)
        assets = self.root / "build/kube-assets"
        assets.mkdir(parents=True)
        (assets / "kube-apiserver").symlink_to(shutil.which("true"))
        code, output = self.run_script("./dev", "packages")
        self.assertNotEqual(code, 0)
        self.assertIn("recommends etcd-server\n", output)

    def test_that_nothing_is_missing_is_noticed_in_under_a_second(self):
        begin = time.monotonic()
        self.program("kubectl", "true")
        self.assertEqual(self.run_script("./dev", "packages")[0], 0)
        self.assertLess(time.monotonic() - begin, 1.0)


class Ci(Checkout):
    def fake_dev(self, lint, test, asan, tsan="echo '7 passed, 0 failed'", fuzz="echo '4 passed, 0 failed'"):
        dev = self.root / "dev"
        dev.write_text(f"""#!/usr/bin/env bash
            case $1 in
              lint) {lint} ;;
              test) echo "CI=$CI assets=$KUBEBUILDER_ASSETS"; {test} ;;
              asan) {asan} ;;
              tsan) {tsan} ;;
              fuzz) {fuzz} ;;
            esac""", encoding="utf-8")
        dev.chmod(0o755)

    def last_line(self, **env):
        code, output = self.run_script(".ci/run", **env)
        return code, output.rstrip().splitlines()[-1], output

    def test_it_ends_with_the_sum(self):
        self.fake_dev("true", "echo '300 passed, 0 failed'", "echo '250 passed, 0 failed'")
        code, line, output = self.last_line(KUBEBUILDER_ASSETS="/somewhere")
        self.assertEqual((code, line), (0, "562 passed, 0 failed"), output)
        self.assertIn("CI=1 assets=/somewhere", output)

    def test_any_failure_fails_it(self):
        cases = (("exit 1", "echo '2 passed, 0 failed'", "echo '2 passed, 0 failed'", "15 passed, 1 failed"),
                 ("true", "echo '2 passed, 1 failed'; exit 8", "echo '2 passed, 0 failed'", "16 passed, 1 failed"),
                 ("true", "echo '2 passed, 0 failed'; exit 1", "echo '2 passed, 0 failed'", "16 passed, 1 failed"),
                 ("true", "echo '2 passed, 0 failed'", "exit 2", "14 passed, 1 failed"),
                 ("true", "echo '2 passed, 0 failed'", "echo '2 passed, 0 failed'", "exit 66", "9 passed, 1 failed"),
                 ("true", "echo '2 passed, 0 failed'", "echo '2 passed, 0 failed'", "echo '2 passed, 0 failed'",
                  "echo '3 passed, 1 failed'; exit 1", "10 passed, 1 failed"))
        for *stages, expected in cases:
            self.fake_dev(*stages)
            code, line, output = self.last_line(KUBEBUILDER_ASSETS="/somewhere")
            self.assertEqual((code, line), (1, expected), output)

    def test_a_kube_apiserver_beside_the_checkout_is_unpacked_and_checked(self):
        self.fake_dev("true", "true", "true")
        self.program("etcd", "true")
        shared = self.root.parent / "shared/kube"
        shared.mkdir(parents=True)
        (shared / "kube-apiserver").write_text("#!/bin/sh\n", encoding="utf-8")
        digest = subprocess.check_output(["sha256sum", shared / "kube-apiserver"], text=True).split()[0]
        (shared / "kube-apiserver.sha256").write_text(digest + "\n", encoding="utf-8")
        subprocess.check_call(["xz", shared / "kube-apiserver"])
        for _ in range(2):
            code, _, output = self.last_line()
            self.assertEqual(code, 0, output)
            self.assertIn(f"assets={self.root}/build/kube-assets", output)
        self.assertTrue(os.access(self.root / "build/kube-assets/kube-apiserver", os.X_OK))
        self.assertTrue((self.root / "build/kube-assets/etcd").is_symlink())

        (self.root / "build/kube-assets/kube-apiserver").unlink()
        (shared / "kube-apiserver.sha256").write_text("0" * 64 + "\n", encoding="utf-8")
        self.assertEqual(self.last_line()[0], 1)
        self.assertFalse((self.root / "build/kube-assets/kube-apiserver").exists())


class Summary(unittest.TestCase):
    def summary(self, cases):
        with tempfile.NamedTemporaryFile("w", suffix=".xml") as file:
            file.write(f"<testsuite>{cases}</testsuite>")
            file.flush()
            return subprocess.run([sys.executable, ROOT / "tools/test_summary.py", file.name], capture_output=True,
                                  text=True, check=True).stdout

    def test_programs_count_their_cases_and_others_count_once(self):
        output = self.summary(
            '<testcase name="A.b" status="run"><system-out>[  PASSED  ] 1 test.</system-out></testcase>'
            '<testcase name="e2e" status="run"><system-out>x\n[  PASSED  ] 12 tests.\n</system-out></testcase>'
            '<testcase name="check_layers" status="run"><system-out>ok: fine</system-out></testcase>')
        self.assertEqual(output, "14 passed, 0 failed\n")

    def test_failed_cases_are_named_once(self):
        output = self.summary(
            '<testcase name="e2e" status="fail"><system-out>[  FAILED  ] Real/E2e.Burst/0, where GetParam() = 0 (7 ms)\n'
            "[  PASSED  ] 3 tests.\n[  FAILED  ] 2 tests, listed below:\n"
            "[  FAILED  ] Real/E2e.Burst/0, where GetParam() = 0\n[  FAILED  ] E2e.Drop\n 2 FAILED TESTS\n"
            "</system-out></testcase>")
        self.assertEqual(output, "FAILED e2e: E2e.Drop\nFAILED e2e: Real/E2e.Burst/0\n3 passed, 2 failed\n")

    def test_a_crash_without_a_summary_is_a_failure(self):
        output = self.summary('<testcase name="e2e" status="fail"><system-out>Segmentation fault</system-out></testcase>')
        self.assertEqual(output, "FAILED e2e\n0 passed, 1 failed\n")


if __name__ == "__main__":
    unittest.main()
