//! `runner run console`: what a run printed, at once or as it comes.
//!
//! Owns how a console line looks, for all commands that print one.

use serde::Deserialize;

use super::Session;
use super::client::Answer;
use super::failure::Failure;
use super::output::Output;
use super::resolve;
use crate::fault::ErrorCode;

/// Whose console to print.
#[derive(Debug, clap::Args)]
pub struct Console {
    /// Id of the run, or its beginning
    #[arg(value_name = "RUN")]
    run: String,
    /// Go on until the run has ended, and print each line as it comes
    #[arg(long)]
    pub follow: bool,
}

/// One line of a run's console.
#[derive(Deserialize)]
pub struct Line {
    #[serde(default)]
    time: String,
    #[serde(default)]
    stream: String,
    #[serde(default)]
    level: String,
    text: String,
}

impl Line {
    /// What the analysis printed, and no more.
    pub fn text(&self) -> &str {
        self.text.trim_end_matches(['\r', '\n'])
    }

    fn print(&self, output: &mut Output) -> Result<(), Failure> {
        let Self { time, stream, level, .. } = self;
        output.line(format_args!("{time} {stream:<7} {level:<5} {}", self.text()))
    }
}

/// Prints the lines on stdout: here they are the data.
pub async fn console(args: Console, session: &mut Session) -> Result<(), Failure> {
    let run = resolve::prefix(&args.run)?;
    let at = format!("/runs/{run}/console");
    if args.follow {
        return follow(&at, session).await;
    }
    let answer = session.client.get(&at).await?;
    session.output.answer(&answer, |output, lines: Vec<Line>| {
        lines.iter().try_for_each(|line| line.print(output))
    })
}

/// Prints each line as it comes; with `--json`, one object a line.
async fn follow(at: &str, session: &mut Session) -> Result<(), Failure> {
    #[derive(Deserialize)]
    struct Refused {
        message: String,
        code: String,
    }
    let mut events = session.client.events(&format!("{at}?follow=true")).await?;
    while let Some(event) = events.next().await? {
        let data: Answer = Answer::from_text(event.data)?;
        match event.name.as_str() {
            "end" => return Ok(()),
            "failure" => {
                let Refused { message, code } = data.parse()?;
                let code = code.parse().unwrap_or(ErrorCode::InternalError);
                return Err(Failure::refused(code, message));
            }
            _ => session.output.answer(&data, |output, line: Line| line.print(output))?,
        }
    }
    let message = "the server stopped before the run ended";
    Err(Failure::refused(ErrorCode::Unreachable, message).hint("the command again"))
}
