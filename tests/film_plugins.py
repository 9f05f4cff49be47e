"""Plugins with which tests colour films."""

LUMA_DEPENDENT = """
    import batchcolor

    def colorize(luma):
        return (luma[:, :, ::4, ::4].mul(37) % 1 - 0.5).expand(-1, 2, 4, 4)

    @batchcolor.hookimpl
    def batchcolor_colorizers():
        build = lambda options: colorize
        return [batchcolor.ColorizerSpec("luma-dependent", "flickers", 16, build)]
"""
"""A model whose colours follow luma alone: equal frames of a film get equal colours."""
