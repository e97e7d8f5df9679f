"""Charts of the page, as specifications of Vega-Lite."""
