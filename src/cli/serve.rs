//! `runner serve`: the HTTP API, the socket for local commands, and the worker.

use std::convert::Infallible;
use std::fs::{self, Permissions};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use axum::Extension;
use axum::extract::Request;
use axum::response::Response;
use axum::serve::{IncomingStream, Listener};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tower::Service;

use super::failure::Failure;
use super::local::{self, this_user};
use super::{Global, ServeArgs};
use crate::config::Config;
use crate::fault::ErrorCode;
use crate::pipeline::Runner;
use crate::shutdown;
use crate::store::DataDirectory;
use crate::{admin, api};

/// Serves until the process is asked to stop.
pub async fn serve(args: ServeArgs, global: &Global) -> Result<ExitCode, Failure> {
    let mut flags = local::flags(global);
    flags.listen = args.listen;
    let config = Config::load(&flags)?;
    let (address, drain) = (config.listen()?, config.drain()?);
    if !address.ip().is_loopback() && !global.insecure_http {
        let message = format!(
            "{address} can be reached from other machines, and this server has no TLS: tokens and \
             values would travel in the open"
        );
        let hint = "listen on 127.0.0.1 behind a proxy with TLS, or add --insecure-http";
        return Err(Failure::usage(message).hint(hint));
    }
    take_descriptors();
    let settings = config.pipeline()?;
    let socket = DataDirectory::socket(&settings.data);
    let runner = Runner::open(settings).await?;
    let router = api::router(Arc::clone(&runner));
    let failed = |what: &str, error: io::Error| {
        Failure::refused(ErrorCode::Unavailable, format_args!("cannot listen on {what}: {error}"))
    };
    let listener = TcpListener::bind(address).await;
    let listener = listener.map_err(|error| failed(&address.to_string(), error))?;
    let bound = listener.local_addr().map_err(|error| failed(&address.to_string(), error))?;
    let local = listen_locally(&socket);
    let local = local.map_err(|error| failed(&socket.display().to_string(), error))?;
    // Whoever reads the line below may ask the server to stop at once.
    let asked = shutdown::requested().map_err(|error| failed("signals", error))?;
    let mut worker = runner.start_worker();
    worker.subscribe().map_err(Failure::usage)?;
    println!("listening on http://{bound}");
    tracing::info!("the admin panel is at http://{bound}/admin");
    tracing::info!(
        "no token is made by itself: `runner token create --role administrator` prints one"
    );

    let (stop, stopped) = watch::channel(());
    let trusted = router.clone().layer(Extension(this_user()));
    // The panel counts failed attempts by address.
    let panel = admin::router(Arc::clone(&runner), router.clone());
    let panel = panel.into_make_service_with_connect_info::<SocketAddr>();
    let servers = [
        tokio::spawn(accept(listener, panel, stopped.clone())),
        tokio::spawn(accept(local, trusted.into_make_service(), stopped)),
    ];
    asked.await;
    tracing::info!("stopping: no new requests; running guests get {} s", drain.as_secs());
    drop(stop);
    worker.stop(drain).await;
    // Running guests were answered until here.
    drop(router);
    // Whoever follows a run that waits would keep its connection for ever.
    runner.watch().close();
    for server in servers {
        // A server task that failed has nothing left to close.
        let _ = tokio::time::timeout(drain, server).await;
    }
    // Whoever connects from now on opens the directory itself.
    let _ = fs::remove_file(&socket);
    runner.close().await;
    Ok(ExitCode::SUCCESS)
}

/// Lets this process have as many descriptors as the system allows it. What guests open counts
/// towards them, and few shells and services ask for more than a thousand.
fn take_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    let whole = Rlimit { current: limit.maximum, ..limit };
    if let Err(error) = setrlimit(Resource::Nofile, whole) {
        tracing::warn!(%error, "this process stays with few descriptors");
    }
}

/// Answers requests until told to stop, then finishes those under way.
async fn accept<L, M, S>(
    listener: L,
    services: M,
    mut stopped: watch::Receiver<()>,
) -> io::Result<()>
where
    L: Listener,
    L::Addr: std::fmt::Debug,
    M: for<'a> Service<IncomingStream<'a, L>, Error = Infallible, Response = S> + Send + 'static,
    for<'a> <M as Service<IncomingStream<'a, L>>>::Future: Send,
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    // The sender goes away to say so.
    let stop = async move { drop(stopped.changed().await) };
    axum::serve(listener, services).with_graceful_shutdown(stop).await
}

/// Binds the socket for local commands. The caller holds the directory's lock, so one that lies
/// there is left over.
fn listen_locally(path: &Path) -> io::Result<UnixListener> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    Ok(listener)
}
