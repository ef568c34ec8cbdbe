//! What redaction and the network cost a run that uses neither: it prints nothing, calls nobody
//! and ends without a result.

use std::sync::Arc;

use criterion::Criterion;
use runner::analysis::{Digest, Limits, module};
use runner::clock::Timestamp;
use runner::environment::{Environment, Origin, Overlay};
use runner::id::Id;
use runner::outbound::{Error, Fetch};
use runner::sandbox::{Compiler, Input, Keep, Printer, Program, Sandbox, Settings};
use tokio::runtime::Runtime;

use super::overhead::secrets;
use super::rounds::{Side, compare, ratio};

/// A command that ends at once.
const GUEST: &str = r#"(module (memory (export "memory") 1) (func (export "_start")))"#;

/// An environment of the secrets of the overhead bench, or of variables with the same values.
fn environment(origin: Origin) -> Arc<Environment> {
    let mut overlay = Overlay::with_capacity(0, 0);
    for (key, value) in secrets() {
        overlay.add(&key, &value, origin.clone());
    }
    Arc::new(overlay.settle().expect("a small environment"))
}

async fn run(
    sandbox: &Sandbox,
    program: &Program,
    environment: &Arc<Environment>,
    fetch: Option<Fetch>,
) {
    let input = Input {
        analysis: Id::from_bytes([1; 12]),
        run: Id::from_bytes([2; 12]),
        token: Arc::new("a-token".to_owned().into()),
        environment: Arc::clone(environment),
        scope: "[]".into(),
        live: None,
        notice: None,
        printer: Printer::default(),
        fetch,
        sign: None,
        stop: None,
    };
    let outcome = sandbox.run(program, input, &Limits::default()).await;
    assert_eq!(outcome.ending.expect("the run ends well"), None);
}

/// Measures, and answers the line to print.
pub fn measure(criterion: &mut Criterion, runtime: &Runtime) -> String {
    let (sandbox, program) = runtime.block_on(async {
        let settings = Settings { compiler: Compiler::Here, ..Default::default() };
        let sandbox = Sandbox::new(settings, None).expect("a sandbox");
        let guest = wat::parse_str(GUEST).expect("a module");
        let form = module::inspect(&guest).expect("a command");
        let program = sandbox.compile(&Digest::of(&guest), form, guest, Keep::InMemory).await;
        (sandbox, program.expect("a program"))
    });
    let policy = Id::generate(Timestamp::now());
    let masked = environment(Origin::Secret { secret: policy, version: 1, policy, permission: 0 });
    let plain = environment(Origin::Variable);
    let fetch: Fetch =
        Arc::new(|_, _| Box::pin(async { Err(Error::Denied("nobody calls this".into())) }));
    let with = async || run(&sandbox, &program, &masked, Some(Arc::clone(&fetch))).await;
    let sides = (
        Side { name: "with hooks", repeat: 200, work: with },
        Side {
            name: "without",
            repeat: 200,
            work: async || run(&sandbox, &program, &plain, None).await,
        },
    );
    let (with, without) = compare(criterion, runtime, "hooks", 1_000, sides);
    eprintln!("with hooks {with:?}, without {without:?}");
    format!("hooks ratio: {:.3}", ratio(with, without))
}
