//! Secrets, tokens, users and the audit, page by page.

use serde_json::json;

use super::browser::Browser;
use crate::harness::{Api, text};

const VALUE: &str = "correct-horse-battery-staple";

#[tokio::test]
async fn a_secret_is_made_found_changed_and_deleted_and_its_value_never_shown() {
    let api = Api::open().await;
    let (mut browser, _) = Browser::signed_in(&api).await;
    let mut seen = Vec::new();
    seen.push(browser.open("/admin/secrets").await.has(200).says("no secret yet"));
    let tag = [("tag-key", "team"), ("tag-value", "billing")];
    let sent = [&[("key", "1 bad"), ("value", VALUE), ("exposure", "environment")][..], &tag];
    let wrong = browser.fill("/admin/secrets/new", "/admin/secrets", &sent.concat()).await;
    seen.push(wrong.has(400).says(r#"value="1 bad""#).says(r#"value="billing""#));
    let sent = [&[("key", "API_KEY"), ("value", VALUE), ("exposure", "environment")][..], &tag];
    let led = browser.fill("/admin/secrets/new", "/admin/secrets", &sent.concat()).await;
    let page = led.leads().to_owned();
    seen.push(led);
    seen.push(browser.open(&page).await.has(200).says("Secret created."));
    let again = browser.open(&page).await.has(200);
    assert!(!again.body.contains("Secret created."), "what was said is said again");
    let taken = browser.fill("/admin/secrets/new", "/admin/secrets", &sent.concat()).await;
    seen.push(taken.has(409).says("a secret with the key API_KEY exists"));
    for (query, found) in [
        ("q=api", true),
        ("q=none", false),
        ("tag-key=team", true),
        ("tag-key=team&tag-value=billing", true),
        ("tag-key=team&tag-value=other", false),
        ("page=2", false),
    ] {
        let list = browser.open(&format!("/admin/secrets?{query}")).await.has(200);
        assert_eq!(list.body.contains(">API_KEY</a>"), found, "{query}");
        seen.push(list);
    }
    let id = page.rsplit('/').next().expect("an id").to_owned();
    let analysis = text(&api.post("/analysis", json!({"name": "invoices"})).await.ok()["id"]);
    let access = format!("{page}?tab=access");
    seen.push(browser.open(&access).await.has(200).says("No policy grants"));
    api.grant(&analysis, "allow", ("team", "billing")).await;
    seen.push(browser.open(&access).await.has(200).says("invoices").says("allows access to"));
    let value = [("part", "value"), ("value", VALUE)];
    assert_eq!(browser.fill(&page, &page, &value).await.leads(), page);
    assert_eq!(api.get(&format!("/secrets/{id}")).await.ok()["version"], 2);
    let none = [("part", "tags"), ("tag-key", ""), ("tag-value", "")];
    seen.push(browser.fill(&page, &page, &none).await.has(400).says(r#"role="alert""#));
    let tags = [("part", "tags"), ("tag-key", "env"), ("tag-value", "<prod>")];
    browser.fill(&page, &page, &tags).await.has(303);
    seen.push(browser.open(&format!("{page}?tab=tags")).await.says("&#60;prod&#62;"));
    let uses = [("part", "uses"), ("algorithm", "hmac-sha256")];
    browser.fill(&page, &page, &uses).await.has(303);
    assert_eq!(api.get(&format!("/secrets/{id}")).await.ok()["algorithms"], json!(["hmac-sha256"]));
    let delete = format!("{page}/delete");
    let typed = browser.fill(&page, &delete, &[("confirmation", "api_key")]).await;
    seen.push(typed.has(400).says(r#"value="api_key""#).says("type API_KEY"));
    let led = browser.fill(&page, &delete, &[("confirmation", "API_KEY")]).await;
    assert_eq!(led.leads(), "/admin/secrets");
    seen.push(browser.open(&page).await.has(404));
    for page in seen {
        assert!(!page.body.contains(VALUE), "{}", page.body);
        assert!(page.headers.values().all(|value| !value.as_bytes().ends_with(VALUE.as_bytes())));
    }
}

#[tokio::test]
async fn an_egress_secret_says_where_it_goes() {
    let api = Api::open().await;
    let (mut browser, _) = Browser::signed_in(&api).await;
    let fields = [
        ("key", "PAY"),
        ("value", VALUE),
        ("exposure", "egress"),
        ("tag-key", "a"),
        ("tag-value", "b"),
        ("hosts", "api.example.com\r\n*.pay.example\r\n"),
        ("places", "header:x-key"),
    ];
    let led = browser.fill("/admin/secrets/new", "/admin/secrets", &fields).await;
    let page = led.leads().to_owned();
    browser.open(&page).await.has(200).says("api.example.com\n*.pay.example").says("header:x-key");
    let none = [("part", "uses"), ("hosts", ""), ("places", "")];
    browser.fill(&page, &page, &none).await.has(400).says("at least one host");
    let places = [("part", "uses"), ("hosts", "api.example.com"), ("places", "body:x")];
    browser.fill(&page, &page, &places).await.has(400).says("body:x</textarea>");
}

#[tokio::test]
async fn a_token_is_shown_once_and_deleted_by_its_name() {
    let api = Api::open().await;
    let (mut browser, _) = Browser::signed_in(&api).await;
    let new = ("/admin/tokens/new", "/admin/tokens");
    let wrong = [("name", ""), ("role", "administrator"), ("expires", "2020-01-01")];
    browser.fill(new.0, new.1, &wrong).await.has(400).says(r#"value="2020-01-01""#);
    let good = [("name", "ci"), ("role", "administrator"), ("expires", "")];
    let made = browser.fill(new.0, new.1, &good).await.has(200).says("shown this once");
    let (_, rest) = made.body.split_once(r#"class="mono" value=""#).expect("the token");
    let token = rest.split('"').next().expect("its end").to_owned();
    assert_eq!(token.len(), 36);
    let list = browser.open("/admin/tokens?q=CI").await.has(200).says(">ci</a>");
    assert!(!list.body.contains(&token) && !list.body.contains(">laptop</a>"));
    let tokens = api.get("/tokens?filter[name]=ci").await.ok();
    let page = format!("/admin/tokens/{}", text(&tokens[0]["id"]));
    browser.fill(&page, &page, &[("name", "build")]).await.has(303);
    let delete = format!("{page}/delete");
    browser.fill(&page, &delete, &[("confirmation", "ci")]).await.has(400).says("type build");
    browser.fill(&page, &delete, &[("confirmation", "build")]).await.has(303);
    browser.open(&page).await.has(404);
}

#[tokio::test]
async fn a_user_is_kept_without_their_password_ever_shown() {
    let api = Api::open().await;
    let (mut browser, _) = Browser::signed_in(&api).await;
    let new = ("/admin/users/new", "/admin/users");
    let fields = |password| [("name", "ann"), ("role", "administrator"), ("password", password)];
    let short = browser.fill(new.0, new.1, &fields("hunter2")).await.has(400);
    let short = short.says("12 to 200 characters").says(r#"value="ann""#);
    assert!(!short.body.contains("hunter2"));
    let led = browser.fill(new.0, new.1, &fields(VALUE)).await;
    let page = led.leads().to_owned();
    let shown = browser.open(&page).await.has(200).says("ann");
    assert!(!shown.body.contains(VALUE));
    browser.fill(new.0, new.1, &fields(VALUE)).await.has(409).says("choose another name");
    let renamed = [("name", "anna"), ("role", "administrator"), ("password", "")];
    browser.fill(&page, &page, &renamed).await.has(303);
    let mut anna = Browser::new(&api);
    anna.sign_in(&[("name", "anna"), ("password", VALUE)]).await.has(303);
    browser.fill(&page, &format!("{page}/delete"), &[("confirmation", "anna")]).await.has(303);
    anna.open("/admin/secrets").await.has(303);
}

#[tokio::test]
async fn the_audit_is_filtered_and_says_what_a_filter_cannot_be() {
    let api = Api::open().await;
    let secret = api.secret("API_KEY", VALUE, ("a", "b")).await;
    let (mut browser, _) = Browser::signed_in(&api).await;
    let all = browser.open("/admin/audit").await.has(200).says("session.begin");
    assert!(!all.says("secrets.create").body.contains(VALUE));
    for (query, found) in [
        ("event=secrets", true),
        ("event=secrets.create", true),
        ("event=secret", false),
        ("principal=local:1", true),
        ("principal=local", false),
        (&format!("resource={secret}"), true),
        ("from=2100-01-01T00:00", false),
        ("to=2100-01-01T00:00", true),
    ] {
        let page = browser.open(&format!("/admin/audit?{query}")).await.has(200);
        assert_eq!(page.body.contains("secrets.create</th>"), found, "{query}");
    }
    browser.open("/admin/audit?resource=x").await.has(400).says("filter[resource] cannot be");
}

#[tokio::test]
async fn help_assets_and_missing_pages_are_answered() {
    let api = Api::open().await;
    let (mut browser, _) = Browser::signed_in(&api).await;
    for page in ["secrets", "variables", "tags", "policies"] {
        browser.open(&format!("/admin/help/{page}")).await.has(200).says("<h1>About ");
    }
    browser.open("/admin/help/none").await.has(404);
    let nothing = browser.open("/admin/none/at/all").await.has(404);
    for (kind, start) in [("text/css", "href=\""), ("text/javascript", "src=\"")] {
        let links = nothing.body.split(start).skip(1).map(|rest| rest.split('"').next());
        let mut assets = links.flatten().filter(|link| link.starts_with("/admin/assets/"));
        let asset = browser.open(assets.next().expect("an asset")).await.has(200);
        assert!(asset.headers["content-type"].to_str().expect("text").starts_with(kind));
        assert!(asset.headers["cache-control"].to_str().expect("text").contains("immutable"));
    }
    browser.open("/admin/assets/panel.0000000000000000.css").await.has(404);
}
