package unlisted // want "unlisted has no row"
