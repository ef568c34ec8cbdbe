"""Analyses."""

import base64
import gzip
import os
from urllib.request import urlopen

from scene import NOWHERE, admin, equal, guarded, lists, refused, resources, works

with open(os.environ["RUNNER_MODULE"], "rb") as file:
    MODULE = file.read()
GONE = "^Analysis can't be found$"
made = {}


@works("analysis.list")
def _():
    def make(name, tags):
        admin.analysis.create({"name": name, "tags": tags})

    lists(lambda by, query: by.analysis.list(query), "name", make)


@works("analysis.create")
def _():
    new = {
        "name": "methods",
        "runtime": "python-rt2025",
        "run_on": "tago",
        "active": True,
        "tags": [{"key": "team", "value": "blue"}],
        "variables": [{"key": "REGION", "value": "eu"}, {"key": "RETRIES", "value": 3}],
    }
    created = admin.analysis.create(new)
    made["id"] = created["id"]
    equal(len(created["token"]), 36)
    refused(lambda: admin.analysis.create({"name": ""}), "a name has 1 to 100 characters")
    guarded(lambda by: by.analysis.create({"name": "x"}), "create", "analysis")


@works("analysis.uploadScript")
def _():
    content = base64.b64encode(MODULE).decode()
    script = {"name": "methods.wasm", "content": content, "language": "python"}
    uploaded = admin.analysis.uploadScript(made["id"], script)
    equal(uploaded, "Analysis Script Successfully Uploaded")
    broken = {**script, "content": "no base64!"}
    refused(lambda: admin.analysis.uploadScript(made["id"], broken), "not base64")
    guarded(lambda by: by.analysis.uploadScript(made["id"], script), "upload", "analysis")


@works("analysis.info")
def _():
    shown = admin.analysis.info(made["id"])
    equal([shown["file_name"], shown["version"]], ["methods.wasm", 1])
    equal([shown["last_run"], shown["run_on"], shown["active"]], ["never", "tago", True])
    equal(shown["variables"][1], {"key": "RETRIES", "value": 3})
    equal(shown["console"], [])
    refused(lambda: admin.analysis.info(NOWHERE), GONE)
    guarded(lambda by: by.analysis.info(made["id"]), "access", "analysis")


@works("analysis.downloadScript")
def _():
    for options in [None, {"version": 1}]:
        link = admin.analysis.downloadScript(made["id"], options)
        with urlopen(link["url"]) as answer:
            equal(gzip.decompress(answer.read()), MODULE)
    refused(lambda: admin.analysis.downloadScript(made["id"], {"version": 9}), "no version 9")
    guarded(lambda by: by.analysis.downloadScript(made["id"]), "download", "analysis")


@works("analysis.run")
def _():
    started = admin.analysis.run(made["id"], [{"variable": "x", "value": 1}])
    assert started["analysis_token"].startswith("a-")
    admin.analysis.run(made["id"])
    for way in ["asc", "desc"]:
        query = {"fields": ["last_run"], "amount": 100, "orderBy": ["last_run", way]}
        ran = [row["last_run"] != "never" for row in admin.analysis.list(query)]
        # Those without a run are last either way.
        equal(ran, sorted(ran, reverse=True))
        assert any(ran) and not all(ran)
    refused(lambda: admin.analysis.run(NOWHERE), GONE)
    guarded(lambda by: by.analysis.run(made["id"]), "run", "analysis")


@works("analysis.edit")
def _():
    change = {"description": "edited", "variables": [], "tags": []}
    equal(admin.analysis.edit(made["id"], change), "Successfully Updated")
    shown = admin.analysis.info(made["id"])
    equal([shown["description"], shown["variables"]], ["edited", []])
    wrong = {"variables": [{"key": "A B", "value": 1}]}
    refused(lambda: admin.analysis.edit(made["id"], wrong), "A B")
    guarded(lambda by: by.analysis.edit(made["id"], {"name": "mine"}), "edit", "analysis")


@works("analysis.tokenGenerate")
def _():
    first = admin.analysis.tokenGenerate(made["id"])["analysis_token"]
    second = admin.analysis.tokenGenerate(made["id"])["analysis_token"]
    equal(resources(second).secrets.list(), [])
    refused(resources(first).secrets.list, "^Invalid token")


@works("analysis.delete")
def _():
    guarded(lambda by: by.analysis.delete(made["id"]), "delete", "analysis")
    equal(admin.analysis.delete(made["id"]), "Successfully Removed")
    refused(lambda: admin.analysis.delete(made["id"]), GONE)
