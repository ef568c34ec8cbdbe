//! Tells which records of the scope are above LIMIT.

const std = @import("std");

/// What a device sent.
const Record = struct {
    variable: []const u8,
    value: f64,
    unit: []const u8 = "",
};

pub fn main(init: std.process.Init) !u8 {
    const arena = init.arena.allocator();
    var stdout: std.Io.File.Writer = .init(.stdout(), init.io, &.{});
    var stderr: std.Io.File.Writer = .init(.stderr(), init.io, &.{});

    const limit = std.fmt.parseFloat(f64, init.environ_map.get("LIMIT") orelse "") catch {
        try stderr.interface.print("LIMIT is not a number: set it as a variable\n", .{});
        return 1;
    };
    const scope = init.environ_map.get("T_ANALYSIS_DATA") orelse "[]";
    const options: std.json.ParseOptions = .{ .ignore_unknown_fields = true };
    const records = std.json.parseFromSliceLeaky([]Record, arena, scope, options) catch |err| {
        try stderr.interface.print("the scope is not a list of device records: {t}\n", .{err});
        return 1;
    };
    var above: usize = 0;
    for (records) |record| {
        if (record.value <= limit) continue;
        above += 1;
        try stdout.interface.print("{s}: {d} {s} is above {d}\n", .{ record.variable, record.value, record.unit, limit });
    }
    try stdout.interface.print("{d} of {d} records are above {d}\n", .{ above, records.len, limit });
    return 0;
}
