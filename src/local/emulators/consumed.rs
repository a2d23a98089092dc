//! The capacity that DynamoDB reports for the calls of a client.

use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_dynamodb::config::interceptors::{
    AfterDeserializationInterceptorContextRef, BeforeSerializationInterceptorContextMut,
};
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;
use aws_sdk_dynamodb::operation::get_item::{GetItemInput, GetItemOutput};
use aws_sdk_dynamodb::operation::put_item::{PutItemInput, PutItemOutput};
use aws_sdk_dynamodb::operation::query::{QueryInput, QueryOutput};
use aws_sdk_dynamodb::operation::update_item::{UpdateItemInput, UpdateItemOutput};
use aws_sdk_dynamodb::types::{ConsumedCapacity, ReturnConsumedCapacity};

/// The units that were consumed.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Units {
    /// Write units.
    pub write: f64,
    /// Read units.
    pub read: f64,
}

/// An interceptor of a DynamoDB client: requests the consumed capacity of each call that the function makes, and adds it
/// up. Clones share the sum.
#[derive(Debug, Clone, Default)]
pub struct ConsumedUnits(Arc<Mutex<Units>>);

impl ConsumedUnits {
    /// The units since the last call of this method.
    pub fn take(&self) -> Units {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn add(
        &self,
        consumed: Option<&ConsumedCapacity>,
        sum: impl FnOnce(&mut Units) -> &mut f64,
    ) -> Result<(), BoxError> {
        let units = consumed.and_then(ConsumedCapacity::capacity_units).ok_or("no consumed capacity was reported")?;
        *sum(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner)) += units;
        Ok(())
    }
}

impl Intercept for ConsumedUnits {
    fn name(&self) -> &'static str {
        "consumed-units"
    }

    fn modify_before_serialization(
        &self,
        context: &mut BeforeSerializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let (input, total) = (context.input_mut(), Some(ReturnConsumedCapacity::Total));
        if let Some(input) = input.downcast_mut::<PutItemInput>() {
            input.return_consumed_capacity = total;
        } else if let Some(input) = input.downcast_mut::<GetItemInput>() {
            input.return_consumed_capacity = total;
        } else if let Some(input) = input.downcast_mut::<QueryInput>() {
            input.return_consumed_capacity = total;
        } else if let Some(input) = input.downcast_mut::<UpdateItemInput>() {
            input.return_consumed_capacity = total;
        }
        Ok(())
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let Ok(output) = context.output_or_error() else { return Ok(()) };
        if let Some(output) = output.downcast_ref::<PutItemOutput>() {
            self.add(output.consumed_capacity(), |units| &mut units.write)
        } else if let Some(output) = output.downcast_ref::<GetItemOutput>() {
            self.add(output.consumed_capacity(), |units| &mut units.read)
        } else if let Some(output) = output.downcast_ref::<QueryOutput>() {
            self.add(output.consumed_capacity(), |units| &mut units.read)
        } else if let Some(output) = output.downcast_ref::<UpdateItemOutput>() {
            self.add(output.consumed_capacity(), |units| &mut units.write)
        } else {
            Ok(())
        }
    }
}
