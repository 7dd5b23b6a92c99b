"""kubectl against the simulated API server: what people type must work as on a real cluster.

usage: kubectl_test.py SIM_SERVER        (KUBECTL names another kubectl than the one in PATH)

Ends with 77, which ctest takes as skipped, when there is no kubectl; with CI set that is a failure.
"""
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

SIM_SERVER = None
KUBECTL = os.environ.get("KUBECTL") or shutil.which("kubectl")
SKIPPED = 77

CONFIG_MAP = """
apiVersion: v1
kind: ConfigMap
metadata: {name: from-file, labels: {app: x}}
data: {a: b}
"""
POD = """
apiVersion: v1
kind: Pod
metadata: {name: %s}
spec: {nodeName: node-1, containers: [{name: c, image: nginx}]}
"""
DEFINITION = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: widgets, singular: widget, kind: Widget, shortNames: [wd]}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
    additionalPrinterColumns: [{name: Size, type: integer, jsonPath: .spec.size}]
"""
WIDGET = """
apiVersion: example.com/v1
kind: Widget
metadata: {name: w}
spec: {size: 3}
"""


class KubectlTest(unittest.TestCase):
    def setUp(self):
        self.home = tempfile.TemporaryDirectory()
        self.server = subprocess.Popen([SIM_SERVER], stdout=subprocess.PIPE, text=True)
        url = self.server.stdout.readline().strip()
        self.config = os.path.join(self.home.name, "config")
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(f"""
apiVersion: v1
kind: Config
current-context: sim
clusters: [{{name: sim, cluster: {{server: "{url}"}}}}]
users: [{{name: sim, user: {{}}}}]
contexts: [{{name: sim, context: {{cluster: sim, user: sim}}}}]
""")

    def tearDown(self):
        self.server.send_signal(signal.SIGTERM)
        self.assertEqual(self.server.wait(10), 0)
        self.server.stdout.close()
        self.home.cleanup()

    def command(self, *arguments):
        environment = dict(os.environ, KUBECONFIG=self.config, HOME=self.home.name)
        return dict(args=[KUBECTL, *arguments], env=environment, text=True, stderr=subprocess.STDOUT)

    def kubectl(self, *arguments, stdin="", code=0):
        """What kubectl printed, both streams; it must have ended with `code`."""
        done = subprocess.run(**self.command(*arguments), stdout=subprocess.PIPE, input=stdin, timeout=60, check=False)
        self.assertEqual(done.returncode, code, f"{arguments}: {done.stdout}")
        return done.stdout

    def test_an_object_from_file_to_deletion(self):
        self.assertEqual(self.kubectl("create", "-f", "-", stdin=CONFIG_MAP), "configmap/from-file created\n")
        self.assertIn('"from-file" already exists', self.kubectl("create", "-f", "-", stdin=CONFIG_MAP, code=1))
        table = self.kubectl("get", "configmaps").splitlines()
        self.assertEqual(table[0].split(), ["NAME", "DATA", "AGE"])
        self.assertEqual(table[1].split()[:2], ["from-file", "1"])
        self.assertIn("app=x", self.kubectl("get", "cm", "--show-labels"))
        self.assertIn("from-file", self.kubectl("get", "cm", "-A", "-l", "app in (x)"))
        self.assertIn("No resources found", self.kubectl("get", "cm", "-l", "app!=x"))
        self.assertEqual(self.kubectl("get", "cm", "from-file", "-o", "jsonpath={.data.a}"), "b")
        self.assertEqual(self.kubectl("get", "cm", "-o", "name"), "configmap/from-file\n")
        self.kubectl("label", "cm", "from-file", "app=y", "--overwrite")
        self.kubectl("patch", "cm", "from-file", "--type=merge", "-p", '{"data":{"c":"d"}}')
        self.assertEqual(self.kubectl("get", "cm", "from-file", "-o", "jsonpath={.metadata.labels.app}{.data.c}"), "yd")
        self.assertIn("deleted", self.kubectl("delete", "cm", "from-file"))
        self.assertIn('configmaps "from-file" not found', self.kubectl("get", "cm", "from-file", code=1))

    def test_get_watch_shows_changes(self):
        self.kubectl("create", "-f", "-", stdin=POD % "one")
        watch = subprocess.Popen(**self.command("get", "pods", "-w"), stdout=subprocess.PIPE)
        try:
            self.assertEqual(watch.stdout.readline().split(), ["NAME", "READY", "STATUS", "RESTARTS", "AGE"])
            self.assertEqual(watch.stdout.readline().split()[:3], ["one", "0/1", "Pending"])
            # kubectl watches from the list's version: nothing in between is lost.
            self.kubectl("create", "-f", "-", stdin=POD % "two")
            self.assertEqual(watch.stdout.readline().split()[:3], ["two", "0/1", "Pending"])
            self.kubectl("delete", "pod", "one")
            self.assertEqual(watch.stdout.readline().split()[:3], ["one", "0/1", "Terminating"])
        finally:
            watch.kill()
            watch.wait()
            watch.stdout.close()
        self.assertEqual(self.kubectl("get", "pods", "-o", "name"), "pod/two\n")
        self.assertIn("node-1", self.kubectl("get", "pods", "-o", "wide"))

    def test_commands_that_build_their_objects(self):
        self.assertEqual(self.kubectl("create", "namespace", "team"), "namespace/team created\n")
        self.kubectl("-n", "team", "create", "configmap", "made", "--from-literal=k=v")
        self.kubectl("-n", "team", "create", "deployment", "web", "--image=nginx", "--replicas=2")
        self.kubectl("-n", "team", "run", "single", "--image=nginx")
        self.assertEqual(self.kubectl("-n", "team", "get", "cm", "made", "-o", "jsonpath={.data.k}"), "v")
        row = self.kubectl("-n", "team", "get", "deploy", "web", "--no-headers").split()
        self.assertEqual(row[:2], ["web", "0/2"])
        self.assertIn("yes", self.kubectl("auth", "can-i", "list", "pods"))
        self.kubectl("delete", "namespace", "team")
        self.assertNotIn("team", self.kubectl("get", "namespaces"))
        self.assertIn("No resources found", self.kubectl("get", "pods,deploy,cm", "-A"))

    def test_custom_resources(self):
        self.kubectl("create", "-f", "-", stdin=DEFINITION)
        self.assertEqual(self.kubectl("create", "-f", "-", stdin=WIDGET), "widget.example.com/w created\n")
        self.assertEqual(self.kubectl("get", "wd", "--no-headers").split(), ["w", "3"])
        self.kubectl("delete", "widgets", "--all")
        self.kubectl("delete", "crd", "widgets.example.com")
        # The second sentence comes when kubectl still remembers the type.
        self.assertRegex(self.kubectl("get", "widgets", code=1),
                         "doesn't have a resource type|could not find the requested resource")

    def test_apply_and_replace(self):
        self.kubectl("apply", "-f", "-", stdin=CONFIG_MAP)
        self.assertIn("configured", self.kubectl("apply", "-f", "-", stdin=CONFIG_MAP.replace("a: b", "a: c")))
        self.assertEqual(self.kubectl("get", "cm", "from-file", "-o", "jsonpath={.data.a}"), "c")
        self.kubectl("replace", "-f", "-", stdin=CONFIG_MAP)
        self.assertEqual(self.kubectl("get", "cm", "from-file", "-o", "jsonpath={.data.a}"), "b")


if __name__ == "__main__":
    if KUBECTL is None:
        print("there is no kubectl")
        sys.exit(1 if os.environ.get("CI") else SKIPPED)
    SIM_SERVER = sys.argv.pop(1)
    unittest.main(verbosity=2)
