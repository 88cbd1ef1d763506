//! Follows a development server.

use crate::{
    error::{DeliveryError, ErrorCode},
    fetch::{Event, Request},
    link::Report,
};

/// Follows the server of a request until standard input is closed.
pub(crate) fn run(request: &Request, _: &Report) -> Result<Event, DeliveryError> {
    let summary = format!("development servers are not supported yet: {}", request.address);
    Err(DeliveryError::new(ErrorCode::DevInvalid, summary, ""))
}
