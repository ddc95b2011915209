"""What varies, and over what? Parameters, conditional spaces, presets and the sweep file."""
