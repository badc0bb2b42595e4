//! Outages: which errors may be over some time, and waiting until then.

use std::time::Duration;

use crate::broker::error::BrokerError;

use super::error::ReplayError;
use super::task::Control;

/// How long is waited after an outage before it is tried again.
const AGAIN: Duration = Duration::from_millis(500);

/// Whether the error may be over some time, so that waiting helps.
pub(super) fn is_outage(error: &BrokerError) -> bool {
    match error {
        BrokerError::Unreachable { .. } | BrokerError::NotAcknowledged { .. } => true,
        BrokerError::Write { of_record, .. } => !of_record,
        _ => false,
    }
}

/// Waits a little; answers whether it was cancelled meanwhile.
pub(super) fn pause(control: &Control) -> Result<bool, ReplayError> {
    pause_for(control, AGAIN)
}

/// Waits so long; answers whether it was cancelled meanwhile.
pub(super) fn pause_for(control: &Control, time: Duration) -> Result<bool, ReplayError> {
    let clock = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(|error| ReplayError::Crashed(format!("no clock to wait by: {error}")))?;
    let cancelled = control.cancel.cancelled();
    Ok(clock
        .block_on(async { tokio::time::timeout(time, cancelled).await })
        .is_ok())
}
