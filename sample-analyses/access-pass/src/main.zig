//! Makes a pass for a device: a JSON Web Token that is signed with a secret key (HS256).
//!
//! Who asks for a pass reads the token and never the key; who checks passes needs the key alone.

const std = @import("std");
const Hmac = std.crypto.auth.hmac.sha2.HmacSha256;
const encoder = std.base64.url_safe_no_pad.Encoder;

/// What the scope asks for.
const Request = struct {
    /// Whose pass it is.
    device: []const u8,
    /// What it opens.
    doors: []const []const u8,
    /// How many seconds it holds; the longest that is allowed where it does not say.
    seconds: ?u32 = null,
    /// Since when, in seconds of Unix time; now where it does not say.
    from: ?i64 = null,
};

/// What the token says.
const Claims = struct {
    iss: []const u8,
    sub: []const u8,
    doors: []const []const u8,
    iat: i64,
    exp: i64,
};

/// The shortest key of HS256 that RFC 7518 allows, in bytes.
const min_key = Hmac.mac_length;

/// The most bytes of a scope.
const max_scope = 1 << 20;

pub fn main(init: std.process.Init) !u8 {
    const arena = init.arena.allocator();
    var stdout: std.Io.File.Writer = .init(.stdout(), init.io, &.{});
    var stderr: std.Io.File.Writer = .init(.stderr(), init.io, &.{});

    var buffer: [4096]u8 = undefined;
    var stdin: std.Io.File.Reader = .init(.stdin(), init.io, &buffer);
    const scope = stdin.interface.allocRemaining(arena, .limited(max_scope)) catch |err| {
        try stderr.interface.print("the scope could not be read: {t}\n", .{err});
        return 1;
    };
    const options: std.json.ParseOptions = .{ .ignore_unknown_fields = true };
    const request = std.json.parseFromSliceLeaky(Request, arena, scope, options) catch |err| {
        try stderr.interface.print("the scope is not a request for a pass: {t}\n", .{err});
        return 1;
    };
    const now = std.Io.Clock.real.now(init.io).toSeconds();
    const token = make(arena, request, init.environ_map, now) catch |err| {
        try stderr.interface.print("{s}\n", .{explain(err)});
        return 1;
    };
    try stdout.interface.print("{s}\n", .{token});
    return 0;
}

const Refusal = error{ NoKey, ShortKey, NoLongest, TooLong, NoDevice };

fn explain(err: (Refusal || std.mem.Allocator.Error)) []const u8 {
    return switch (err) {
        error.NoKey => "PASS_KEY is not in the environment: store it as a secret, and add a policy that grants it",
        error.ShortKey => "PASS_KEY is shorter than the 32 bytes that HS256 needs",
        error.NoLongest => "MAX_SECONDS is not in the environment, or not a number of seconds",
        error.TooLong => "the pass would hold longer than MAX_SECONDS allows",
        error.NoDevice => "the scope names no device",
        error.OutOfMemory => "the memory does not suffice",
    };
}

/// The token that `request` asks for.
fn make(
    arena: std.mem.Allocator,
    request: Request,
    environment: *const std.process.Environ.Map,
    now: i64,
) (Refusal || std.mem.Allocator.Error)![]const u8 {
    const key = environment.get("PASS_KEY") orelse return error.NoKey;
    if (key.len < min_key) return error.ShortKey;
    const setting = environment.get("MAX_SECONDS") orelse return error.NoLongest;
    const longest = std.fmt.parseInt(u32, setting, 10) catch return error.NoLongest;
    const seconds = request.seconds orelse longest;
    if (seconds > longest) return error.TooLong;
    if (request.device.len == 0) return error.NoDevice;
    const from = request.from orelse now;
    return sign(arena, key, .{
        .iss = environment.get("ISSUER") orelse "runner",
        .sub = request.device,
        .doors = request.doors,
        .iat = from,
        .exp = std.math.add(i64, from, seconds) catch return error.TooLong,
    });
}

/// The claims as a JSON Web Token under `key`.
fn sign(arena: std.mem.Allocator, key: []const u8, claims: Claims) std.mem.Allocator.Error![]const u8 {
    const header = .{ .alg = "HS256", .typ = "JWT" };
    const signed = try std.fmt.allocPrint(arena, "{s}.{s}", .{
        try encoded(arena, try std.json.Stringify.valueAlloc(arena, header, .{})),
        try encoded(arena, try std.json.Stringify.valueAlloc(arena, claims, .{})),
    });
    var mac: [Hmac.mac_length]u8 = undefined;
    Hmac.create(&mac, signed, key);
    return std.fmt.allocPrint(arena, "{s}.{s}", .{ signed, try encoded(arena, &mac) });
}

fn encoded(arena: std.mem.Allocator, bytes: []const u8) std.mem.Allocator.Error![]const u8 {
    return encoder.encode(try arena.alloc(u8, encoder.calcSize(bytes.len)), bytes);
}

fn environmentOf(arena: std.mem.Allocator, entries: []const [2][]const u8) !std.process.Environ.Map {
    var environment: std.process.Environ.Map = .init(arena);
    for (entries) |entry| try environment.put(entry[0], entry[1]);
    return environment;
}

test "a pass is signed as RFC 7515 says" {
    var arena: std.heap.ArenaAllocator = .init(std.testing.allocator);
    defer arena.deinit();
    const key = "0123456789abcdef0123456789abcdef";
    var environment = try environmentOf(arena.allocator(), &.{ .{ "PASS_KEY", key }, .{ "MAX_SECONDS", "60" } });
    const request: Request = .{ .device = "d\"1", .doors = &.{"north"} };
    const token = try make(arena.allocator(), request, &environment, 1000);
    var parts = std.mem.splitScalar(u8, token, '.');
    try std.testing.expectEqualStrings("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9", parts.next().?);
    var claims: [256]u8 = undefined;
    const decoder = std.base64.url_safe_no_pad.Decoder;
    const part = parts.next().?;
    try decoder.decode(&claims, part);
    try std.testing.expectEqualStrings(
        "{\"iss\":\"runner\",\"sub\":\"d\\\"1\",\"doors\":[\"north\"],\"iat\":1000,\"exp\":1060}",
        claims[0..try decoder.calcSizeForSlice(part)],
    );
}

test "what is missing or too much is refused" {
    var arena: std.heap.ArenaAllocator = .init(std.testing.allocator);
    defer arena.deinit();
    const allocator = arena.allocator();
    const request: Request = .{ .device = "d", .doors = &.{}, .seconds = 61 };
    const key = "0123456789abcdef0123456789abcdef";
    var none = try environmentOf(allocator, &.{});
    try std.testing.expectError(error.NoKey, make(allocator, request, &none, 0));
    var short = try environmentOf(allocator, &.{.{ "PASS_KEY", "short" }});
    try std.testing.expectError(error.ShortKey, make(allocator, request, &short, 0));
    var longest = try environmentOf(allocator, &.{ .{ "PASS_KEY", key }, .{ "MAX_SECONDS", "60" } });
    try std.testing.expectError(error.TooLong, make(allocator, request, &longest, 0));
}
