//! Whole calls in invented time: the relay's core between a simulated Meta, which stands on other libraries, and a PBX, over a
//! seeded network that loses, delays, reorders and repeats. No socket is opened and nobody sleeps.

mod pbx;
mod whatsapp_call;
mod world;
