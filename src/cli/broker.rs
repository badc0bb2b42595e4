//! `foldlog broker`.

use std::net::{SocketAddr, ToSocketAddrs};

use miette::{IntoDiagnostic, WrapErr, miette};

use crate::broker::embedded::Embedded;

use super::context::Context;

/// Its arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where to listen: a loopback address and a port, 0 for any free one
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9092")]
    listen: String,
}

/// Runs it.
pub fn run(context: &Context, args: Args) -> miette::Result<()> {
    let listen = resolve(&args.listen)?;
    let embedded = Embedded::start(context.data(), listen).into_diagnostic()?;
    let address = embedded.address();
    if context.json() {
        println!("{}", serde_json::json!({ "address": address.to_string() }));
    } else {
        println!("{address}");
        eprintln!("serving {} until interrupted (Ctrl-C)", context.data().display());
    }
    wait_for_signal()?;
    drop(embedded);
    Ok(())
}

/// An address, where a name may stand for several of them: an IPv4 one first, because that is what clients are told.
fn resolve(listen: &str) -> miette::Result<SocketAddr> {
    let mut found: Vec<SocketAddr> = listen
        .to_socket_addrs()
        .into_diagnostic()
        .wrap_err_with(|| format!("`{listen}` is no address to listen on; write it as 127.0.0.1:9092"))?
        .collect();
    found.sort_by_key(SocketAddr::is_ipv6);
    found
        .first()
        .copied()
        .ok_or_else(|| miette!("`{listen}` names no address"))
}

/// Waits for Ctrl-C, and for the signals with which a terminal or a supervisor ends a process.
fn wait_for_signal() -> miette::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .into_diagnostic()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).into_diagnostic()?;
        let mut hang_up = signal(SignalKind::hangup()).into_diagnostic()?;
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => interrupted.into_diagnostic()?,
            _ = terminate.recv() => {}
            _ = hang_up.recv() => {}
        }
        Ok(())
    })
}
