//! Who gets in, and what ends it.

use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::{Value, json};

use super::browser::{Browser, HOST, form};
use crate::forgery::edit;
use crate::harness::{Api, text};

const PASSWORD: &str = "correct horse battery";

async fn user(api: &Api, name: &str) -> String {
    let new = json!({"name": name, "role": "administrator", "password": PASSWORD});
    text(&api.post("/users", new).await.ok()["id"])
}

#[tokio::test]
async fn a_token_or_a_name_and_its_password_open_a_session() {
    let api = Api::open().await;
    user(&api, "ann").await;
    let mut stranger = Browser::new(&api);
    let led = stranger.open("/admin/secrets?q=a").await;
    assert_eq!(led.leads(), "/admin/sign-in?next=%2Fadmin%2Fsecrets%3Fq%3Da");
    let (mut browser, _) = Browser::signed_in(&api).await;
    browser.open("/admin/secrets").await.has(200).says("laptop");
    let mut ann = Browser::new(&api);
    let before = ann.open("/admin/sign-in").await;
    let shown = ann.cookies.clone();
    let fields = [("name", "ann"), ("password", PASSWORD), ("next", "/admin/tokens")];
    let led = ann.send("/admin/sign-in", &before.form_token(), &fields).await;
    assert_eq!(led.leads(), "/admin/tokens");
    assert_ne!(ann.cookies, shown, "whoever knew the cookie before is signed in too");
    ann.open("/admin/tokens").await.has(200).says("ann");
    // What is done is done in the user's name.
    let fields = [("key", "K"), ("value", "v"), ("tag-key", "a"), ("tag-value", "b")];
    ann.fill("/admin/secrets/new", "/admin/secrets", &fields).await.has(303);
    let audit = api.get("/audit?filter[event]=secrets.create").await.ok();
    assert!(text(&audit[0]["principal"]).starts_with("user:"), "{audit}");
    let begun = api.get("/audit?filter[event]=session").await.ok();
    assert_eq!(begun.as_array().expect("entries").len(), 2, "{begun}");
}

#[tokio::test]
async fn what_is_wrong_opens_nothing_and_is_counted() {
    let api = Api::open().await;
    user(&api, "ann").await;
    let analysis = text(&api.post("/analysis", json!({"name": "a"})).await.ok()["token"]);
    let mut browser = Browser::new(&api);
    for fields in [
        &[("token", "")][..],
        &[("token", "p-0000000000000000000000000000000000")],
        &[("token", "\u{1}")],
        &[("token", &analysis)],
        &[("name", "ann"), ("password", "wrong horse battery")],
        &[("name", "bob"), ("password", PASSWORD)],
        &[("name", ""), ("password", "")],
    ] {
        let page = browser.sign_in(fields).await.has(401).says(r#"role="alert""#);
        assert!(!page.body.contains(&analysis) && !page.body.contains(PASSWORD));
        browser.open("/admin/secrets").await.has(303);
    }
    // The name as it was typed stays in its field.
    let fields = [("name", "ann"), ("password", "wrong horse battery")];
    browser.sign_in(&fields).await.has(401).says(r#"value="ann""#);
    for _ in 0..20 {
        browser.sign_in(&fields).await;
    }
    let fields = [("name", "ann"), ("password", PASSWORD)];
    browser.sign_in(&fields).await.has(429).says("wait 15 minutes");
}

#[tokio::test]
async fn a_form_of_another_site_or_another_browser_changes_nothing() {
    let api = Api::open().await;
    let (mut browser, _) = Browser::signed_in(&api).await;
    let (mut other, _) = Browser::signed_in(&api).await;
    let token = browser.open("/admin/secrets/new").await.form_token();
    let foreign = other.open("/admin/secrets/new").await.form_token();
    let fields = [("key", "K"), ("value", "v"), ("tag-key", "a"), ("tag-value", "b")];
    let own = format!("https://{HOST}");
    for (origin, token) in [
        (None, &token),
        (Some("null"), &token),
        (Some("https://evil.example"), &token),
        (Some(own.as_str()), &foreign),
        (Some(own.as_str()), &String::new()),
    ] {
        let sent = form("/admin/secrets", origin, token, &fields);
        browser.ask(sent).await.has(403);
        let sent = form("/admin/sign-out", origin, token, &[]);
        browser.ask(sent).await.has(403);
    }
    assert_eq!(api.get("/secrets").await.ok(), json!([]));
    browser.send("/admin/secrets", &token, &fields).await.has(303);
    // Signing in is a form too.
    let mut stranger = Browser::new(&api);
    stranger.open("/admin/sign-in").await;
    stranger.send("/admin/sign-in", &token, &[("token", "p-x")]).await.has(403);
    let mut forgetful = Browser::new(&api);
    forgetful.send("/admin/sign-in", "", &[("token", "p-x")]).await.has(403).says("cookie");
}

#[tokio::test]
async fn a_session_ends_with_its_holder_and_by_signing_out() {
    let api = Api::open().await;
    let ann = user(&api, "ann").await;
    let fields = [("name", "ann"), ("password", PASSWORD)];
    let mut browser = Browser::new(&api);
    for change in [json!({"password": "another horse battery"}), json!({"password": PASSWORD})] {
        browser.sign_in(&[("name", "ann"), ("password", PASSWORD)]).await;
        api.put(&format!("/users/{ann}"), change).await.ok();
        browser.open("/admin/secrets").await.has(303);
    }
    browser.sign_in(&fields).await.has(303);
    let kept = browser.cookies.clone();
    let led = browser.fill("/admin/secrets", "/admin/sign-out", &[]).await;
    assert_eq!(led.leads(), "/admin/sign-in");
    browser.cookies = kept;
    browser.open("/admin/secrets").await.has(303);
    browser.sign_in(&fields).await.has(303);
    api.delete(&format!("/users/{ann}")).await.ok();
    browser.open("/admin/secrets").await.has(303);
    let (mut browser, _) = Browser::signed_in(&api).await;
    let tokens = api.get("/tokens").await.ok();
    api.delete(&format!("/tokens/{}", text(&tokens[0]["id"]))).await.ok();
    browser.open("/admin/secrets").await.has(303);
}

#[tokio::test]
async fn the_api_knows_no_cookie_and_every_page_keeps_others_out() {
    let api = Api::open().await;
    let (mut browser, token) = Browser::signed_in(&api).await;
    let request = Request::get("/secrets").body(Body::empty()).expect("a request");
    browser.ask(request).await.has(401);
    for path in ["/admin/secrets", "/admin/sign-in", "/admin/nothing", "/admin/access"] {
        let page = browser.open(path).await;
        let header = |name: &str| page.headers[name].to_str().expect("a text").to_owned();
        let content = header("content-security-policy");
        for part in ["default-src 'none'", "script-src 'self';", "frame-ancestors 'none'"] {
            assert!(content.contains(part), "{content}");
        }
        assert!(!content.contains("unsafe"), "{content}");
        assert_eq!(header("x-frame-options"), "DENY");
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("referrer-policy"), "same-origin");
        assert_eq!(header("cache-control"), "no-store");
        for inline in ["style=", "onclick=", "<style", "javascript:", "<script>"] {
            assert!(!page.body.contains(inline), "{path} has {inline}");
        }
        assert!(!page.body.contains(&token), "{path} shows the token");
    }
    // What is kept of all this opens nothing by itself.
    let cookie = browser.cookies["__Host-runner"].clone();
    api.call_as(&cookie, Method::GET, "/info", Value::Null).await.refused(401);
}

#[tokio::test]
async fn a_writer_of_the_database_signs_nobody_in() {
    let api = Api::alone().await;
    user(&api, "ann").await;
    let other = json!({"name": "eve", "role": "administrator", "password": "eves own password"});
    api.post("/users", other).await.ok();
    let mut browser = Browser::new(&api);
    browser.sign_in(&[("name", "ann"), ("password", PASSWORD)]).await.has(303);
    browser.open("/admin/secrets").await.has(200);
    edit(api.place(), "UPDATE session SET expires_at = expires_at + 1").await;
    browser.open("/admin/secrets").await.has(303);
    // A password that is known, in the place of another one.
    edit(
        api.place(),
        "UPDATE named_user SET (salt, hash, bound) = (SELECT salt, hash, bound FROM named_user \
         WHERE name = 'eve') WHERE name = 'ann'",
    )
    .await;
    let fields = [("name", "ann"), ("password", "eves own password")];
    browser.sign_in(&fields).await.has(401).says("the name or the password is wrong");
    browser.sign_in(&[("name", "eve"), ("password", "eves own password")]).await.has(303);
}
