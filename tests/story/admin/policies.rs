//! The rule builder and its preview.

use serde_json::json;

use super::browser::Browser;
use crate::harness::{Api, text};

/// What the builder sends for one target and one permission.
fn rules<'a>(name: &'a str, team: &'a str, effect: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("name", name),
        ("active", "on"),
        ("target", "0"),
        ("target-0-by", "any"),
        ("permission", "0"),
        ("permission-0-effect", effect),
        ("permission-0-resource", "secrets"),
        ("permission-0-secrets-action", "access"),
        ("permission-0-by", "tag"),
        ("permission-0-key", "team"),
        ("permission-0-value", team),
    ]
}

#[tokio::test]
async fn a_policy_is_previewed_saved_and_keeps_what_the_preview_said() {
    let api = Api::open().await;
    let secret = api.secret("API_KEY", "v", ("team", "billing")).await;
    let analysis = text(&api.post("/analysis", json!({"name": "invoices"})).await.ok()["id"]);
    let (mut browser, _) = Browser::signed_in(&api).await;
    let explain = format!("/analysis/{analysis}/explain?key=API_KEY");
    let decision = async || api.get(&explain).await.ok()["keys"][0]["decision"].clone();
    let new = ("/admin/access/new", "/admin/access");
    let previewed = [&rules("p", "billing", "allow")[..], &[("do", "preview")]].concat();
    let page = browser.fill(new.0, new.1, &previewed).await.has(200);
    page.says("counts for 1 analysis").says(r#"badge gains">gains"#).says("API_KEY");
    assert_eq!(decision().await, "refused", "a preview changed something");
    let token = browser.open(new.0).await.form_token();
    let part = browser.send("/admin/access/preview", &token, &previewed).await.has(200);
    let part = part.says("invoices").says("API_KEY");
    assert!(!part.body.contains("<html"), "the part is a whole page");
    let saved = [&rules("p", "billing", "allow")[..], &[("do", "save")]].concat();
    let page = browser.fill(new.0, new.1, &saved).await.leads().to_owned();
    assert_eq!(decision().await, "granted");
    browser.open(&page).await.has(200).says("Policy created.").says(r#"value="billing""#);
    browser.open(&format!("{page}?tab=more")).await.has(200).says(r#"badge loses">loses"#);
    let denied = [&rules("p", "billing", "deny")[..], &[("do", "preview")]].concat();
    browser.fill(&page, &page, &denied).await.has(200).says("loses").says("denied by policy");
    let denied = [&rules("p", "billing", "deny")[..], &[("do", "save")]].concat();
    browser.fill(&page, &page, &denied).await.has(303);
    assert_eq!(decision().await, "refused");
    let tags = [("part", "tags"), ("tag-key", "a"), ("tag-value", "b")];
    browser.fill(&page, &page, &tags).await.has(303);
    browser.open("/admin/access?tag-key=a").await.has(200).says(">p</a>");
    let delete = format!("{page}/delete");
    browser.fill(&page, &delete, &[("confirmation", "q")]).await.has(400).says("type p into");
    browser.fill(&page, &delete, &[("confirmation", "p")]).await.has(303);
    browser.open(&page).await.has(404);
    api.get(&format!("/secrets/{secret}")).await.ok();
}

#[tokio::test]
async fn rows_and_cards_come_and_go_without_script_and_errors_keep_what_was_typed() {
    let api = Api::open().await;
    let (mut browser, _) = Browser::signed_in(&api).await;
    let new = ("/admin/access/new", "/admin/access");
    let press = |button: &'static str| {
        [&rules("kept name", "billing", "deny")[..], &[("do", button)]].concat()
    };
    let more = browser.fill(new.0, new.1, &press("add-target")).await.has(200);
    more.says(r#"value="kept name""#).says("target-1-by").says("No preview yet: targets[1]");
    let more = browser.fill(new.0, new.1, &press("add-permission")).await.has(200);
    more.says("Permission 1");
    let fewer = browser.fill(new.0, new.1, &press("remove-permission:0")).await.has(200);
    assert!(!fewer.body.contains("Permission 0"));
    let nothing = [&rules("kept name", "", "deny")[..], &[("do", "save")]].concat();
    let wrong = browser.fill(new.0, new.1, &nothing).await.has(400);
    wrong.says("permissions[0].resource").says(r#"value="kept name""#);
    assert_eq!(api.get("/am").await.ok(), json!([]));
}
