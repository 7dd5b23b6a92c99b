#!/usr/bin/env python3
"""Tests of check_layers.py on small trees made for the purpose."""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import check_layers

TOOL = Path(__file__).with_name("check_layers.py")


class CheckLayers(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.root = Path(self.folder.name)

    def write(self, path, text):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    def run_tool(self):
        done = subprocess.run([sys.executable, TOOL, self.root], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout

    def test_layers_below_and_libraries_are_fine(self):
        self.write("fresnel/hub/hub.cpp",
                   '#include "fresnel/hub/hub.hpp"\n#include <vector>\n#include "fresnel/kube/watcher.hpp"\n')
        self.write("fresnel/cli/main.cpp", '#include "fresnel/gateway/gateway.hpp"\n#include "fresnel/sim/server.hpp"\n')
        code, output = self.run_tool()
        self.assertEqual(code, 0, output)
        self.assertTrue(output.startswith("ok"), output)

    def test_a_layer_above_is_named_with_file_line_and_hint(self):
        self.write("fresnel/kube/watcher.hpp", '#pragma once\n\n#  include "fresnel/hub/hub.hpp"\n')
        code, output = self.run_tool()
        self.assertEqual(code, 1)
        self.assertIn('fresnel/kube/watcher.hpp:3: kube must not include "fresnel/hub/hub.hpp"', output)
        self.assertIn("it may include base, json, net", output)

    def test_a_test_beside_the_code_keeps_to_the_table_too(self):
        self.write("fresnel/client/store_test.cpp", '#include "fresnel/sim/server.hpp"\n')
        self.assertEqual(self.run_tool()[0], 1)

    def test_siblings_do_not_see_each_other(self):
        self.write("fresnel/json/escape.cpp", '#include "fresnel/net/http.hpp"\n')
        self.assertEqual(self.run_tool()[0], 1)

    def test_includes_are_written_from_the_root(self):
        for line in ('#include "hub.hpp"', '#include "../base/error.hpp"', "#include <fresnel/base/error.hpp>"):
            self.write("fresnel/hub/hub.cpp", line + "\n")
            self.assertEqual(self.run_tool()[0], 1, line)

    def test_a_folder_that_is_no_layer(self):
        self.write("fresnel/utils/misc.hpp", "#pragma once\n")
        code, output = self.run_tool()
        self.assertEqual(code, 1)
        self.assertIn("in no layer", output)

    def test_an_empty_tree_is_not_called_ok(self):
        self.assertEqual(self.run_tool()[0], 2)

    def test_the_table_has_no_cycle(self):
        for layer, below in check_layers.ALLOWED.items():
            for lower in below:
                self.assertIn(lower, check_layers.ALLOWED)
                self.assertNotIn(layer, check_layers.ALLOWED[lower], f"{layer} and {lower}")


if __name__ == "__main__":
    unittest.main()
