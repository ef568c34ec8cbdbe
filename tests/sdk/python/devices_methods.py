"""Devices, their data, and the services of a run."""

from datetime import datetime, timezone

from scene import (
    NOWHERE,
    REGION,
    admin,
    equal,
    guarded,
    is_refused,
    lists,
    refused,
    ungranted_token,
    works,
)
from tagoio_sdk import Device, Services

GONE = "^Device Not Found$"
KEPT = "last record is kept"
NONE = "no configuration parameters"
RECORD = {"variable": "temperature", "value": 31.5}
LAST = {"variables": ["temperature"], "query": "last_value"}
made = {}


def speaks(token):
    return Device({"token": token, "region": REGION})


@works("devices.list")
def _():
    def make(name, tags):
        admin.devices.create({"name": name, "tags": tags})

    lists(lambda by, query: by.devices.listDevice(query), "name", make)


@works("devices.create")
def _():
    new = {"name": "boiler", "network": NOWHERE, "connector": NOWHERE, "type": "mutable"}
    created = admin.devices.create(new)
    made.update(id=created["device_id"], token=created["token"])
    refused(lambda: admin.devices.create({"network": NOWHERE}), "needs a name")
    guarded(lambda by: by.devices.create({"name": "x"}), "create", "device")


@works("devices.info")
def _():
    shown = admin.devices.info(made["id"])
    equal([shown["name"], shown["bucket"]["id"]], ["boiler", made["id"]])
    refused(lambda: admin.devices.info(NOWHERE), GONE)
    guarded(lambda by: by.devices.info(made["id"]), "access", "device")


@works("devices.edit")
def _():
    equal(admin.devices.edit(made["id"], {"description": "hot"}), "Successfully Updated")
    refused(lambda: admin.devices.edit(made["id"], {"type": "sorted"}), "where it needs")
    guarded(lambda by: by.devices.edit(made["id"], {"description": "cold"}), "edit", "device")


@works("devices.sendDeviceData")
def _():
    equal(admin.devices.sendDeviceData(made["id"], RECORD), "1 Data Added")
    equal(admin.devices.sendDeviceData(made["id"], [RECORD, RECORD]), "2 Data Added")
    refused(lambda: admin.devices.sendDeviceData(made["id"], {"value": 1}), "missing field")
    guarded(lambda by: by.devices.sendDeviceData(made["id"], RECORD), "send_data", "device")


@works("devices.getDeviceData")
def _():
    equal(admin.devices.getDeviceData(made["id"], LAST)[0]["value"], 31.5)
    refused(lambda: admin.devices.getDeviceData(made["id"]), KEPT)
    guarded(lambda by: by.devices.getDeviceData(made["id"], LAST), "get_data", "device")


@works("devices.tokenCreate")
def _():
    gateway = {"name": "gateway", "permission": "write", "expire_time": "never"}
    made["second"] = admin.devices.tokenCreate(made["id"], gateway)["token"]
    refused(lambda: admin.devices.tokenCreate(made["id"], gateway), 'named "gateway"')
    later = {**gateway, "name": "later", "expire_time": datetime(2100, 1, 1, tzinfo=timezone.utc)}
    token = admin.devices.tokenCreate(made["id"], later)
    equal(token["expire_date"], datetime(2100, 1, 1))
    equal(admin.devices.tokenDelete(token["token"]), "Successfully Removed")
    # A time without its zone is no time.
    zoneless = {**gateway, "name": "zoneless", "expire_time": datetime(2100, 1, 1)}
    refused(lambda: admin.devices.tokenCreate(made["id"], zoneless), "expire_time is")
    guarded(lambda by: by.devices.tokenCreate(made["id"], gateway), "token_access", "device")


@works("devices.tokenList")
def _():
    names = [row["name"] for row in admin.devices.tokenList(made["id"])]
    equal(names, ["gateway", "Default"])
    guarded(lambda by: by.devices.tokenList(made["id"]), "token_access", "device")


@works("devices.tokenDelete")
def _():
    guarded(lambda by: by.devices.tokenDelete(made["second"]), "token_access", "device")
    equal(admin.devices.tokenDelete(made["second"]), "Successfully Removed")
    refused(lambda: speaks(made["second"]).sendData(RECORD), "^Invalid token")


the = admin.devices
param = {"key": "a", "value": "b", "sent": False}
is_refused("devices.paramSet", lambda: the.paramSet(made["id"], param), NONE)
is_refused("devices.paramList", lambda: the.paramList(made["id"]), NONE)
is_refused("devices.paramRemove", lambda: the.paramRemove(made["id"], NOWHERE), NONE)
changed = {"id": NOWHERE, "value": 1}
is_refused("devices.editDeviceData", lambda: the.editDeviceData(made["id"], changed), KEPT)
is_refused("devices.deleteDeviceData", lambda: the.deleteDeviceData(made["id"]), KEPT)
is_refused("devices.emptyDeviceData", lambda: the.emptyDeviceData(made["id"]), KEPT)
is_refused("devices.amount", lambda: the.amount(made["id"]), KEPT)

device, stranger, analysis = map(speaks, [made["token"], "p-nobody", ungranted_token])


@works("Device.info")
def _():
    equal(device.info()["name"], "boiler")
    refused(stranger.info, "^Invalid token")


@works("Device.sendData")
def _():
    # One object goes as it is, not as a list.
    equal(device.sendData({**RECORD, "unit": "C"}), "1 Data Added")
    dated = {**RECORD, "time": datetime(2026, 1, 1, tzinfo=timezone.utc)}
    equal(device.sendData([dated, {"variable": "x"}]), "2 Data Added")
    refused(lambda: device.sendData({"variable": ""}), "variable")
    refused(lambda: stranger.sendData(RECORD), "^Invalid token")
    refused(lambda: analysis.sendData(RECORD), "^Authorization Denied.*token of a device")


@works("Device.getData")
def _():
    equal(len(device.getData({"query": "last_item", "variables": ["temperature", "x"]})), 2)
    refused(lambda: device.getData({"query": "last_item", "qty": 0}), 'qty is "0"')
    refused(lambda: stranger.getData(LAST), "^Invalid token")
    refused(lambda: analysis.getData(LAST), "^Authorization Denied.*token of a device")


is_refused("Device.editData", lambda: device.editData(changed), KEPT)
is_refused("Device.deleteData", lambda: device.deleteData({"variables": "x"}), KEPT)
is_refused("Device.getParameters", device.getParameters, NONE)
is_refused("Device.setParameterAsRead", lambda: device.setParameterAsRead(NOWHERE), NONE)


@works("devices.delete")
def _():
    guarded(lambda by: by.devices.delete(made["id"]), "delete", "device")
    equal(admin.devices.delete(made["id"]), "Successfully Removed")
    refused(lambda: admin.devices.delete(made["id"]), GONE)
    refused(device.info, "^Invalid token")


services = Services({"token": ungranted_token, "region": REGION})
OUTSIDE = "^Authorization Denied: a console belongs to a run"
is_refused("Services.console.log from outside", lambda: services.console.log("x"), OUTSIDE)
