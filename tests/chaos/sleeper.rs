//! An analysis that waits for as many milliseconds as its variable PAUSE_MS says.

use std::time::Duration;

fn main() {
    let pause = std::env::var("PAUSE_MS").expect("the variable PAUSE_MS is set");
    std::thread::sleep(Duration::from_millis(pause.parse().expect("PAUSE_MS is a number")));
}
