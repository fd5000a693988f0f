//! A GStreamer pipeline that is run once, to its end, and stopped when it goes out of scope.

use super::FinaliseError;
use gst::prelude::*;
use gst::{MessageType, MessageView};
use gstreamer as gst;
use gstreamer_app as gst_app;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// How often a wait looks whether the pipeline failed elsewhere.
const LOOK_EVERY: gst::ClockTime = gst::ClockTime::from_mseconds(200);

pub struct Run {
    pipeline: gst::Pipeline,
    failure: OnceLock<String>,
    ended: AtomicBool,
}

impl Run {
    pub fn new(description: &str) -> Result<Self, FinaliseError> {
        let element = gst::parse::launch(description).map_err(FinaliseError::media)?;
        let pipeline = element.downcast::<gst::Pipeline>();
        let pipeline = pipeline.map_err(|_| FinaliseError::media("no pipeline"))?;
        Ok(Self { pipeline, failure: OnceLock::new(), ended: AtomicBool::new(false) })
    }

    fn element(&self, name: &str) -> Result<gst::Element, FinaliseError> {
        self.pipeline
            .by_name(name)
            .ok_or_else(|| FinaliseError::media(format!("no element {name}")))
    }

    pub fn app_src(&self, name: &str) -> Result<gst_app::AppSrc, FinaliseError> {
        let e = self.element(name)?.downcast::<gst_app::AppSrc>();
        e.map_err(|_| FinaliseError::media(format!("{name} is no appsrc")))
    }

    pub fn app_sink(&self, name: &str) -> Result<gst_app::AppSink, FinaliseError> {
        let e = self.element(name)?.downcast::<gst_app::AppSink>();
        e.map_err(|_| FinaliseError::media(format!("{name} is no appsink")))
    }

    /// Sets a path property.
    pub fn set(
        &self,
        element: &str,
        property: &str,
        path: &std::path::Path,
    ) -> Result<(), FinaliseError> {
        let path = path.to_str().ok_or_else(|| FinaliseError::media("a path is not UTF-8"))?;
        self.element(element)?.set_property(property, path);
        Ok(())
    }

    pub fn play(&self) -> Result<(), FinaliseError> {
        self.pipeline.set_state(gst::State::Playing).map(|_| ()).map_err(FinaliseError::media)
    }

    /// Stops everything; whoever waits for the pipeline is let go.
    pub fn stop(&self) {
        if let Err(error) = self.pipeline.set_state(gst::State::Null) {
            tracing::error!(%error, "a pipeline did not stop");
        }
    }

    /// The first error so far, without waiting.
    pub fn check(&self) -> Result<(), FinaliseError> {
        self.look(gst::ClockTime::ZERO)
    }

    /// Takes what the bus has, waiting up to `wait`. Taking for one kind of message alone would
    /// throw the others away.
    fn look(&self, wait: gst::ClockTime) -> Result<(), FinaliseError> {
        let wanted = [MessageType::Error, MessageType::Eos];
        let message = self.pipeline.bus().and_then(|b| b.timed_pop_filtered(wait, &wanted));
        match message.as_ref().map(|m| m.view()) {
            Some(MessageView::Error(e)) => {
                self.failure.get_or_init(|| e.error().to_string());
            }
            Some(MessageView::Eos(_)) => self.ended.store(true, Ordering::Relaxed),
            _ => {}
        }
        self.failure.get().map_or(Ok(()), |why| Err(FinaliseError::Media(why.clone())))
    }

    /// The next sample at `sink`, or `None` at the end.
    pub fn next(&self, sink: &gst_app::AppSink) -> Result<Option<gst::Sample>, FinaliseError> {
        loop {
            if let Some(sample) = sink.try_pull_sample(LOOK_EVERY) {
                return Ok(Some(sample));
            }
            self.check()?;
            if sink.is_eos() {
                return Ok(None);
            }
        }
    }

    /// Waits until everything went through.
    pub fn wait_for_end(&self) -> Result<(), FinaliseError> {
        while !self.ended.load(Ordering::Relaxed) {
            self.look(LOOK_EVERY)?;
        }
        Ok(())
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.stop();
    }
}
