//! `judge-run simulate`: a simulated endpoint until Ctrl-C.

use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;

use judge_run_simulator::{Simulator, SimulatorConfig};

use super::error::CliError;
use super::print;
use super::subcommands::SimulateArgs;

pub(crate) fn main(args: SimulateArgs) -> Result<ExitCode, CliError> {
    let SimulateArgs {
        host,
        port,
        latency,
        no_jitter,
        rpm,
        tpm,
        burst,
        refund,
        headers,
        context,
        fail,
        clear_after,
        fail_batches,
    } = args;
    let defaults = SimulatorConfig::default();
    let faults = fail.unwrap_or_default().clear_after(clear_after);
    let config = SimulatorConfig {
        latency,
        jitter: !no_jitter,
        rpm: rpm.map(Into::into),
        tpm: tpm.map(|tpm| tpm.get().into()),
        burst,
        refund,
        dialect: headers,
        context,
        faults,
        batch_faults: fail_batches.unwrap_or_default(),
        ..defaults
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let address = SocketAddr::new(host, port);
        let simulator = Simulator::bind(address, config).await.map_err(|error| {
            CliError::usage(format_args!("cannot listen on {address}"))
                .because(&error)
                .hint("`--port 0` picks a free port")
        })?;
        // Ctrl-C is caught before the address is known.
        let interrupted = tokio::spawn(tokio::signal::ctrl_c());
        tokio::task::yield_now().await;
        let base_url = simulator.base_url();
        writeln!(std::io::stdout().lock(), "{base_url}")?;
        print::message(format_args!(
            "simulated endpoint; its verdicts are made up. Use it with --base-url {base_url}; stop it with Ctrl-C."
        ));
        simulator.serve(async { drop(interrupted.await) }).await?;
        Ok(ExitCode::SUCCESS)
    })
}
