CREATE INDEX idx_products_category ON products (category_id);
CREATE INDEX idx_products_active ON products (active);
CREATE INDEX idx_carts_expires_at ON carts (expires_at);
