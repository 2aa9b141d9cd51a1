//! The one visible line of registration.

/// Exports the components of a plugin: `slot: Options` pairs, where `Options` implements
/// [`Component`](crate::component::Component) and the slot's options trait.
///
/// ```ignore
/// dualk_sdk::export_plugin! { graph_encoder: GatOptions }
/// ```
///
/// The crate gets a function `register`, for [`Registry::with`](crate::plugin::Registry::with), and the descriptor
/// that the loader looks for. Used once a crate, in its root.
#[macro_export]
macro_rules! export_plugin {
    ($($slot:ident : $options:ty),+ $(,)?) => {
        /// Adds the components of this plugin to a registry.
        pub fn register(registrar: &mut $crate::plugin::Registrar<'_>) {
            $( registrar.add::<$crate::slots::$slot, $options>(); )+
        }

        #[allow(unsafe_code)] // the loader finds the descriptor by this name
        #[unsafe(no_mangle)]
        #[doc(hidden)]
        pub static DUALK_PLUGIN: $crate::plugin::Descriptor = $crate::plugin::Descriptor::new(
            env!("CARGO_PKG_NAME"),
            env!("CARGO_PKG_VERSION"),
            &[$(
                if <$options as $crate::component::Component>::DEFAULT { "*" } else { "" }, stringify!($slot), " ", <$options as $crate::component::Component>::NAME, "\n",
                <$options as $crate::component::Component>::NEEDS
            ),+],
            register,
        );
    };
}
