//! Databases of their own in the PostgreSQL that scripts/with-servers starts.

use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Executor, Row};

/// The server's URL.
#[track_caller]
pub fn server() -> String {
    std::env::var("RUNNER_TEST_POSTGRES")
        .expect("RUNNER_TEST_POSTGRES names a server: run the tests with scripts/with-servers")
}

/// A new database; answers its URL.
pub fn database() -> String {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let number = MADE.fetch_add(1, Ordering::Relaxed);
    let name = format!("story_{}_{number}", std::process::id());
    let (server, made) = (server(), name.clone());
    // A thread of its own, because stories call this within runtimes.
    let making = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let mut connection = PgConnection::connect(&server).await.expect("the server answers");
            let create = AssertSqlSafe(format!("CREATE DATABASE {made}"));
            connection.execute(create).await.expect("a database is made");
        });
    });
    making.join().expect("no panic");
    let url = self::server();
    let (before, _) = url.rsplit_once('/').expect("a URL with a database");
    format!("{before}/{name}")
}

/// The one number that a query of a database answers.
pub async fn number(url: &str, query: &'static str) -> i64 {
    let mut connection = PgConnection::connect(url).await.expect("the database answers");
    let row = sqlx::query(query).fetch_one(&mut connection).await.expect("a row");
    connection.close().await.expect("it closes");
    row.get(0)
}
